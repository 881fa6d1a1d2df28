-- What the scripts of the cluster share (keys: state/streams.py). It is put before each of them.
-- Neither a topic nor a client id holds a null character, so it separates the two in a field of `routes`.
local NUL = '\0'
-- A node is `<name>:<8 hex digits>`; its counter in `nodes` is this once somebody has begun to clear up after it.
local CONDEMNED = '-'

local function alive(node)
    local beats = redis.call('HGET', 'nodes', node)
    return beats and beats ~= CONDEMNED
end

-- A key of another type than it should have, out of the way (state/key_types.py), for a day.
local function set_aside(key)
    redis.call('RENAME', key, 'aside:' .. key)
    redis.call('PEXPIRE', 'aside:' .. key, 86400000)
end

-- Put something into a node's inbox; false where `limit` bytes wait there already. A node that is gone loses nothing.
-- An entry's id is the number of bytes that were ever put there, so that the waiting ones are known without a look.
local function tell(node, field, value, limit)
    if not alive(node) then
        return true
    end
    local counts = redis.pcall('HMGET', 'node:' .. node, 'sent', 'taken')
    if counts.err then
        -- Not a hash. To fail here would be to fail after messages are queued, and nobody would be told of them.
        set_aside('node:' .. node)
        counts = {}
    end
    local taken = number(counts[2])
    local sent = math.max(number(counts[1]), taken) + #value
    if limit and sent - taken > limit then
        return false
    end
    redis.call('HSET', 'node:' .. node, 'sent', digits(sent))
    if type(redis.pcall('XADD', 'inbox:' .. node, digits(sent) .. '-0', field, value)) == 'table' then
        if redis.call('TYPE', 'inbox:' .. node)['ok'] ~= 'stream' then
            set_aside('inbox:' .. node)
            redis.call('XADD', 'inbox:' .. node, digits(sent) .. '-0', field, value)
            return true
        end
        -- The counter was lost, and the inbox has gone further than it says.
        local about = redis.call('XINFO', 'STREAM', 'inbox:' .. node)
        for index = 1, #about, 2 do
            if about[index] == 'last-generated-id' then
                sent = tonumber(string.match(about[index + 1], '^%d+')) + #value
            end
        end
        redis.call('HSET', 'node:' .. node, 'sent', digits(sent))
        redis.call('XADD', 'inbox:' .. node, digits(sent) .. '-0', field, value)
    end
    return true
end

local changes = {}

-- Hold a route with `flags`, or none where they are false.
local function route(field, flags)
    if redis.call('HGET', 'routes', field) == flags then
        return
    end
    if flags then
        redis.call('HSET', 'routes', field, flags)
    else
        redis.call('HDEL', 'routes', field)
    end
    changes[#changes + 1] = field
    changes[#changes + 1] = flags or ''
end

-- The version of the routes; that of none where it cannot be read.
local function routes_version()
    local version = redis.call('GET', 'routes:version')
    return version and string.match(version, '^%d+%-%d+$') or '0-0'
end

local LOG_LENGTH = 10000
-- Fields and values of one entry: Lua's stack holds some thousands.
local CHUNK = 1000

-- Write what `route` has changed. The second part of a version is when it was made (microseconds): where Redis has lost
-- its last changes, others with the same numbers are not taken for them.
local function log_changes()
    if #changes == 0 then
        return
    end
    local version = tonumber(string.match(routes_version(), '^%d+'))
    -- Ids of a stream go up: also where the version was lost, or somebody else has written to the log.
    local last = redis.call('XREVRANGE', 'routes:log', '+', '-', 'COUNT', 1)[1]
    if last then
        version = math.max(version, tonumber(string.match(last[1], '^%d+')))
    end
    local time = redis.call('TIME')
    local id
    for first = 1, #changes, CHUNK do
        version = version + 1
        id = digits(version) .. '-' .. time[1] .. string.format('%06d', time[2])
        redis.call('XADD', 'routes:log', 'MAXLEN', '~', LOG_LENGTH, id,
            unpack(changes, first, math.min(first + CHUNK - 1, #changes)))
    end
    redis.call('SET', 'routes:version', id)
end

-- Delete all that there is of a client's session.
local function forget(client)
    local session = redis.call('HMGET', 'session:' .. client, 'owner', 'bytes')
    if session[1] then
        redis.call('SREM', 'owner:' .. session[1], client)
        charge_owner(session[1], -number(session[2]))
    end
    redis.call('SREM', 'sessions', client)
    for _, filter in ipairs(redis.call('HKEYS', 'subscriptions:' .. client)) do
        route('s:' .. client .. NUL .. filter, false)
    end
    redis.call('UNLINK', 'session:' .. client, 'subscriptions:' .. client, 'queue:' .. client, 'brief:' .. client,
        'released:' .. client, 'received:' .. client)
    redis.call('ZREM', 'sessions:expiry', client)
    redis.call('ZREM', 'brief', client)
end

local function has(client, node, connection)
    local session = redis.call('HMGET', 'session:' .. client, 'node', 'connection')
    return session[1] == node and session[2] == connection
end

-- Whether a session's owner is a user who was removed.
local function orphaned(client)
    local user = string.match(redis.call('HGET', 'session:' .. client, 'owner') or '', '^u:(.*)$')
    return user and redis.call('HEXISTS', 'users', user) == 0
end

-- End what a connection holds, unless another has taken over.
local function detach(client, node, connection, expires)
    redis.call('HDEL', 'clients:' .. node, connection)
    if not has(client, node, connection) then
        return
    end
    if redis.call('HGET', 'session:' .. client, 'clean') == '1' or orphaned(client) then
        forget(client)
    else
        redis.call('HDEL', 'session:' .. client, 'node', 'connection', 'present', 'previous')
        redis.call('ZADD', 'sessions:expiry', expires, client)
    end
end
