-- Queues of persistent sessions (keys: state/sessions.py). It is put before the scripts that add to them.
-- A message's packet id is made of its sequence number, and there are 65,535 of them: so no two messages that the client
-- has not finished with may be this far apart.
local WINDOW = 65000
-- How many messages at the front of a full queue are looked at, whether they are too old.
local LOOK = 4
-- What stands for "since when" in an entry that has no age: it refers to what is retained, and that is the newest.
local AGELESS = '9007199254740991'

local known = {}
-- Bytes by owner, and of `all`: what they are, and what this script has added to them.
local spent, added = {}, {}
local dropped = {length = 0, age = 0, bytes = 0, user = 0, all = 0, owner = ''}

local function session_of(client)
    local session = known[client]
    if session == nil then
        local found = redis.call('HMGET', key('session', client), 'clean', 'next', 'sent', 'floor', 'node', 'owner', 'bytes', 'since')
        -- A session that no script of ours has written is none.
        local whole = tonumber(found[2] or '') and tonumber(found[3] or '') and tonumber(found[4] or '')
        session = found[1] == '0' and whole and {
            first = tonumber(found[2]),
            next = tonumber(found[2]),
            sent = tonumber(found[3]),
            floor = tonumber(found[4]),
            node = found[5],
            owner = found[6],
            bytes = number(found[7]),
            -- Nothing in its queue is older (ms).
            since = number(found[8]),
            brief = redis.call('XLEN', key('brief', client)),
        }
        if session then
            session.length = redis.call('XLEN', key('queue', client)) + session.brief
        end
        known[client] = session
    end
    return session
end

local function spent_by(name)
    if not spent[name] then
        spent[name] = number(redis.call('HGET', key('sessions:bytes'), name))
        added[name] = 0
    end
    return spent[name]
end

local function spend(session, bytes)
    session.bytes = session.bytes + bytes
    session.changed = true
    if session.owner then
        spent[session.owner] = spent_by(session.owner) + bytes
        added[session.owner] = added[session.owner] + bytes
        spent.all = spent_by('all') + bytes
        added.all = added.all + bytes
    end
end

local function sequence_of(entry)
    return tonumber(string.match(entry[1], '^%d+'))
end

-- The oldest sequence number that the client has not finished with.
local function oldest(client, session)
    local found = session.next
    for _, queue in ipairs({key('queue', client), key('brief', client)}) do
        local entry = redis.call('XRANGE', queue, '-', '+', 'COUNT', 1)[1]
        if entry then
            found = math.min(found, sequence_of(entry))
        end
    end
    local released = redis.call('ZRANGE', key('released', client), 0, 0)[1]
    return math.min(found, tonumber(released or '') or found)
end

-- Whether there is a packet id for one more message.
local function numbered(client, session)
    if session.next - session.floor >= WINDOW then
        session.floor = oldest(client, session)
    end
    return session.next - session.floor < WINDOW
end

-- Add to a queue what there is room for. Fields: `b` a message, `r` and `s` a reference (see load.lua).
-- `brief` is for what may live for minutes alone.
local function add(client, session, field, value, at, brief)
    local queue = key('queue', client)
    if brief then
        queue = key('brief', client)
        if session.brief == 0 then
            redis.call('ZADD', key('brief'), at, client)
        end
        session.brief = session.brief + 1
    end
    if session.length == session.brief and not brief and at ~= AGELESS then
        session.since = tonumber(at)
    end
    redis.call('XADD', queue, digits(session.next) .. '-0', field, value, 'a', at)
    session.next = session.next + 1
    session.length = session.length + 1
    spend(session, cost(field, value))
end

-- Why there is no room for so many bytes more; nil where there is.
-- `limits`: queue_max_length, queue_max_age (ms), queue_max_bytes, sessions_user_max_bytes, sessions_max_bytes,
-- queue_positions_max_age (ms).
local function lacks(client, session, bytes, limits)
    if session.length >= limits[1] or not numbered(client, session) then
        return 'length'
    elseif session.bytes + bytes > limits[3] then
        return 'bytes'
    elseif session.owner and spent_by(session.owner) + bytes > limits[4] then
        return 'user'
    elseif session.owner and spent_by('all') + bytes > limits[5] then
        return 'all'
    end
end

-- Drop what is too old at the front of one of a client's queues, `count` messages at the most, one look for each: to look is
-- to copy, and they may be large. Answers since when the first of those that are left has been there; nil if there is none, or it was not
-- looked at.
local function drop_old(client, session, queue, before, count)
    local own, from = key(queue, client), '-'
    for _ = 1, count do
        local entry = redis.call('XRANGE', own, from, '+', 'COUNT', 1)[1]
        if not entry then
            return nil
        end
        if entry[2][4] == AGELESS then
            from = '(' .. entry[1]
        elseif tonumber(entry[2][4]) >= before then
            return tonumber(entry[2][4])
        else
            redis.call('XDEL', own, entry[1])
            session.length = session.length - 1
            if queue == 'brief' then
                session.brief = session.brief - 1
            end
            spend(session, -cost(entry[2][1], entry[2][2]))
            dropped.age = dropped.age + 1
        end
    end
end

-- Put something into the queue of a client, if there is room.
local function enqueue(client, field, value, at, now, limits, brief)
    local session = session_of(client)
    if not session then
        return
    end
    if brief and session.brief > 0 and number(redis.call('ZSCORE', key('brief'), client)) < now - limits[6] then
        local left = drop_old(client, session, 'brief', now - limits[6], LOOK)
        if left then
            redis.call('ZADD', key('brief'), digits(left), client)
        end
    end
    local bytes = cost(field, value)
    local lacking = lacks(client, session, bytes, limits)
    if lacking and session.since < now - limits[2] then
        local left = drop_old(client, session, 'queue', now - limits[2], LOOK)
        session.since = left and math.min(left, now) or session.since
        session.changed = true
        lacking = lacks(client, session, bytes, limits)
    end
    if lacking then
        dropped[lacking] = dropped[lacking] + 1
        if lacking == 'user' then
            dropped.owner = session.owner
        end
        return
    end
    add(client, session, field, value, at, brief)
end

-- Keep what has changed of the sessions.
local function settle()
    for client, session in pairs(known) do
        if session and session.changed then
            redis.call('HSET', key('session', client), 'next', digits(session.next), 'floor', digits(session.floor),
                'bytes', digits(session.bytes), 'since', digits(session.since))
        end
    end
    for name, bytes in pairs(added) do
        if bytes ~= 0 and add_number(key('sessions:bytes'), name, digits(bytes)) == 0 then
            redis.call('HDEL', key('sessions:bytes'), name)
        end
    end
end

-- Wake the clients that had been sent all there was: the others ask by themselves.
local function wake()
    local clients = {}
    for client, session in pairs(known) do
        if session and session.next > session.first and session.node and session.sent == session.first - 1 then
            clients[session.node] = clients[session.node] or {}
            table.insert(clients[session.node], client)
        end
    end
    for node, asleep in pairs(clients) do
        tell(node, 'w', cmsgpack.pack(asleep))
    end
end

-- What was dropped, as scripts answer it.
local function losses()
    return {dropped.length, dropped.age, dropped.bytes, dropped.user, dropped.all, dropped.owner}
end
