-- Queues of persistent sessions (keys: core/streams.py). It is put before the scripts that add to them.
-- A message's packet id is made of its sequence number, and there are 65,535 of them: so no two messages that the client
-- has not finished with may be this far apart.
local WINDOW = 65000
-- How many messages at the front of a full queue are looked at, whether they are too old.
local LOOK = 10

local known = {}
local dropped = {length = 0, age = 0}

local function session_of(client)
    local session = known[client]
    if session == nil then
        local found = redis.call('HMGET', 'session:' .. client, 'clean', 'next', 'sent', 'floor', 'node')
        session = found[1] == '0' and {
            first = tonumber(found[2]),
            next = tonumber(found[2]),
            sent = tonumber(found[3]),
            floor = tonumber(found[4]),
            node = found[5],
            length = redis.call('XLEN', 'queue:' .. client),
        }
        known[client] = session
    end
    return session
end

local function sequence_of(entry)
    return tonumber(string.match(entry[1], '^%d+'))
end

-- The oldest sequence number that the client has not finished with.
local function oldest(client, session)
    local found = session.next
    local entry = redis.call('XRANGE', 'queue:' .. client, '-', '+', 'COUNT', 1)[1]
    if entry then
        found = sequence_of(entry)
    end
    local released = redis.call('ZRANGE', 'released:' .. client, 0, 0)[1]
    return math.min(found, tonumber(released or found))
end

local function enqueue(client, message, now, max_length, max_age)
    local session = session_of(client)
    if not session then
        return
    end
    if session.length >= max_length then
        for _, entry in ipairs(redis.call('XRANGE', 'queue:' .. client, '-', '+', 'COUNT', LOOK)) do
            if tonumber(entry[2][4]) < now - max_age then
                redis.call('XDEL', 'queue:' .. client, entry[1])
                session.length = session.length - 1
                dropped.age = dropped.age + 1
            end
        end
    end
    if session.next - session.floor >= WINDOW then
        session.floor = oldest(client, session)
    end
    if session.length >= max_length or session.next - session.floor >= WINDOW then
        dropped.length = dropped.length + 1
        return
    end
    redis.call('XADD', 'queue:' .. client, digits(session.next) .. '-0', 'm', message, 'a', digits(now))
    session.next = session.next + 1
    session.length = session.length + 1
end

-- Keep what `enqueue` has changed, and wake the clients that had been sent all there was: the others ask by themselves.
local function wake()
    local clients = {}
    for client, session in pairs(known) do
        if session and session.next > session.first then
            redis.call('HSET', 'session:' .. client, 'next', digits(session.next), 'floor', digits(session.floor))
            if session.node and session.sent == session.first - 1 then
                clients[session.node] = clients[session.node] or {}
                table.insert(clients[session.node], client)
            end
        end
    end
    for node, asleep in pairs(clients) do
        tell(node, 'w', cmsgpack.pack(asleep))
    end
end
