-- A client has connected and is authenticated: give it its session, and end its older connection.
-- A session is its owner's: nobody else gets it, nor ends it.
-- ARGV: node, connection, client, owner, clean (1 or 0), now (ms), will (MessagePack of {client, message}; empty for none),
-- sessions_user_max, sessions_max.
-- Answers nil if the node is gone, 'other' if the client id is another owner's, 'user' or 'all' if there is no room for
-- another persistent session of this owner or of anybody, 'again' if a part of an old session is still to be deleted, by
-- another call, else {present (1 or 0), previous (MessagePack of {node, connection}, or empty), {filter, options, ...},
-- {packet id, ...}, {sequence, ...}}.
local node, connection, client, owner, clean, now, will, user_max, max = unpack(ARGV)
if not alive(node) then
    return nil
end
local own = key('session', client)
local was = redis.call('HMGET', own, 'node', 'connection', 'clean', 'present', 'previous', 'owner', 'user', 'ending')
-- The connection that an old session had, which is deleted in several steps.
local displaced = was[8] or ''
if was[8] then
    if not forget(client) then
        redis.call('HSET', own, 'ending', displaced)
        log_changes()
        return 'again'
    end
    was = {}
end
if was[3] then
    -- What no script of ours has written is nobody's session.
    local told = redis.call('HMGET', own, 'next', 'sent', 'floor')
    local whole = was[3] == '1' or (was[3] == '0' and tonumber(told[1] or '') and tonumber(told[2] or '') and tonumber(told[3] or ''))
    local kind = string.sub(was[6] or 'u:', 1, 2)
    if not whole or (kind ~= 'u:' and kind ~= 'a:') then
        if not forget(client) then
            log_changes()
            return 'again'
        end
        was = {}
    end
end
local holder = was[6]
if was[3] and not holder then
    -- Of an earlier version, which knew users alone.
    holder = was[7] ~= '' and 'u:' .. was[7] or string.sub(owner, 1, 2) == 'a:' and owner
end
if was[3] and holder ~= owner then
    return 'other'
end
if clean == '0' and was[3] ~= '0' then
    if redis.call('SCARD', key('owner', owner)) >= tonumber(user_max) then
        return 'user'
    elseif redis.call('SCARD', key('sessions')) >= tonumber(max) then
        return 'all'
    end
end
local present, previous
if was[1] == node and was[2] == connection then
    -- It was done, and the answer was lost.
    present, previous = was[4], was[5]
else
    present, previous = '0', displaced
    if was[1] then
        local other = number(was[2])
        previous = cmsgpack.pack({was[1], other})
        redis.call('HDEL', key('clients', was[1]), was[2])
        if was[1] ~= node then
            tell(was[1], 'k', cmsgpack.pack({client, other}))
        end
    end
    if was[3] == '0' and clean == '0' then
        present = '1'
        redis.call('HSET', own, 'before', redis.call('HGET', own, 'sent'))
    else
        if was[3] and not forget(client) then
            redis.call('HSET', own, 'ending', previous)
            log_changes()
            return 'again'
        end
        if clean == '0' then
            -- Beyond all numbers of an earlier session of this client: a late acknowledgement of one of them does no harm.
            local first = tonumber(now) * 1000
            redis.call('HSET', own, 'next', digits(first), 'floor', digits(first), 'sent', digits(first - 1),
                'before', '0')
        end
    end
    if was[3] and not was[6] then
        redis.call('HSET', own, 'owner', owner)
        local bytes = 0
        for _, filter in ipairs(redis.call('HKEYS', key('subscriptions', client))) do
            bytes = bytes + subscription_cost(client, filter)
        end
        charge(client, bytes)
    end
    redis.call('HSET', own, 'node', node, 'connection', connection, 'owner', owner, 'clean', clean, 'present', present,
        'previous', previous)
end
if clean == '0' then
    redis.call('SADD', key('sessions'), client)
    redis.call('SADD', key('owner', owner), client)
end
redis.call('ZREM', key('sessions:expiry'), client)
redis.call('HSET', key('clients', node), connection, client)
if will == '' then
    redis.call('HDEL', key('will', node), connection)
else
    redis.call('HSET', key('will', node), connection, will)
end
log_changes()
return {present, previous, redis.call('HGETALL', key('subscriptions', client)),
    redis.call('SMEMBERS', key('received', client)), redis.call('ZRANGE', key('released', client), 0, -1)}
