-- Routes of one session that are removed by one script.
local ROUTES = 1000

-- Delete all that there is of a client's session; false where some of its routes are left, for there are very many. It
-- is no session any more then, waits to expire at once, and whoever opens one of this client goes on with it.
local function forget(client)
    local session = redis.call('HMGET', key('session', client), 'owner', 'bytes')
    if session[1] then
        redis.call('SREM', key('owner', session[1]), client)
        charge_owner(session[1], -number(session[2]))
    end
    redis.call('SREM', key('sessions'), client)
    redis.call('ZREM', key('brief'), client)
    redis.call('UNLINK', key('session', client), key('queue', client), key('brief', client), key('released', client),
        key('received', client))
    local filters = redis.call('HKEYS', key('subscriptions', client))
    for index = 1, math.min(#filters, ROUTES) do
        route('s:' .. client .. NUL .. filters[index], false)
    end
    if #filters <= ROUTES then
        redis.call('UNLINK', key('subscriptions', client))
        redis.call('ZREM', key('sessions:expiry'), client)
        return true
    end
    redis.call('HDEL', key('subscriptions', client), unpack(filters, 1, ROUTES))
    redis.call('HSET', key('session', client), 'ending', '')
    redis.call('ZADD', key('sessions:expiry'), 0, client)
    return false
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
