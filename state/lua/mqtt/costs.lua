-- What persistent sessions cost, in bytes: about what Redis needs for it, and rather more. A session has its sum, an
-- owner that of its sessions, and `all` that of all: each is changed together with what it counts.
local ENTRY, SUBSCRIPTION, RELEASED = 32, 192, 96

-- Of an entry of a queue. An earlier version has written `m`, and counted nothing.
local function cost(field, value)
    return field == 'm' and 0 or #value + ENTRY
end

local function subscription_cost(client, filter)
    return #client + 2 * #filter + SUBSCRIPTION
end

local function charge_owner(owner, bytes)
    if bytes == 0 then
        return
    end
    for _, name in ipairs({owner, 'all'}) do
        if add_number(key('sessions:bytes'), name, digits(bytes)) == 0 then
            redis.call('HDEL', key('sessions:bytes'), name)
        end
    end
end

local function charge(client, bytes)
    local owner = redis.call('HGET', key('session', client), 'owner')
    if owner and bytes ~= 0 then
        add_number(key('session', client), 'bytes', digits(bytes))
        charge_owner(owner, bytes)
    end
end

-- Take a message out of a client's queues; the bytes that it has cost.
local function take_out(client, sequence)
    for _, queue in ipairs({key('queue', client), key('brief', client)}) do
        local entry = redis.call('XRANGE', queue, sequence .. '-0', sequence .. '-0')[1]
        if entry then
            redis.call('XDEL', queue, entry[1])
            return cost(entry[2][1], entry[2][2])
        end
    end
    return 0
end
