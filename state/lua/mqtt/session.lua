-- Delete all that there is of a client's session.
local function forget(client)
    local session = redis.call('HMGET', key('session', client), 'owner', 'bytes')
    if session[1] then
        redis.call('SREM', key('owner', session[1]), client)
        charge_owner(session[1], -number(session[2]))
    end
    redis.call('SREM', key('sessions'), client)
    for _, filter in ipairs(redis.call('HKEYS', key('subscriptions', client))) do
        route('s:' .. client .. NUL .. filter, false)
    end
    redis.call('UNLINK', key('session', client), key('subscriptions', client), key('queue', client), key('brief', client),
        key('released', client), key('received', client))
    redis.call('ZREM', key('sessions:expiry'), client)
    redis.call('ZREM', key('brief'), client)
end

local function has(client, node, connection)
    local session = redis.call('HMGET', key('session', client), 'node', 'connection')
    return session[1] == node and session[2] == connection
end

-- Whether a session's owner is a user who was removed.
local function orphaned(client)
    local user = string.match(redis.call('HGET', key('session', client), 'owner') or '', '^u:(.*)$')
    return user and redis.call('HEXISTS', key('users'), user) == 0
end

-- End what a connection holds, unless another has taken over.
local function detach(client, node, connection, expires)
    redis.call('HDEL', key('clients', node), connection)
    if not has(client, node, connection) then
        return
    end
    if redis.call('HGET', key('session', client), 'clean') == '1' or orphaned(client) then
        forget(client)
    else
        redis.call('HDEL', key('session', client), 'node', 'connection', 'present', 'previous')
        redis.call('ZADD', key('sessions:expiry'), expires, client)
    end
end
