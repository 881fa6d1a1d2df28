-- What persistent sessions cost (keys: state/streams.py). It is put before the scripts that change that, the broker's and
-- the erasure's.

-- Lua writes large numbers as 1.77e+15.
local function digits(number)
    return string.format('%.0f', number)
end

-- What is no number is none of ours, and counts as 0.
local function number(text)
    return tonumber(text or '') or 0
end

-- Add to a number in a hash; where there is none, or something else, it begins anew.
local function add_number(key, field, by)
    local found = redis.pcall('HINCRBY', key, field, by)
    if type(found) ~= 'table' then
        return found
    end
    redis.call('HSET', key, field, by)
    return number(by)
end

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
        if add_number('sessions:bytes', name, digits(bytes)) == 0 then
            redis.call('HDEL', 'sessions:bytes', name)
        end
    end
end

local function charge(client, bytes)
    local owner = redis.call('HGET', 'session:' .. client, 'owner')
    if owner and bytes ~= 0 then
        add_number('session:' .. client, 'bytes', digits(bytes))
        charge_owner(owner, bytes)
    end
end

-- Take a message out of a client's queues; the bytes that it has cost.
local function take_out(client, sequence)
    for _, queue in ipairs({'queue:' .. client, 'brief:' .. client}) do
        local entry = redis.call('XRANGE', queue, sequence .. '-0', sequence .. '-0')[1]
        if entry then
            redis.call('XDEL', queue, entry[1])
            return cost(entry[2][1], entry[2][2])
        end
    end
    return 0
end
