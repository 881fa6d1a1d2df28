-- What a client subscribes to, and what its node wants of others for that.
-- ARGV[1]: MessagePack of {node, connection, client, subscriptions = {{filter, flags}}, interest = {{filter, flags}}}
--   where flags of -1 stand for no longer; client is '' where only the node's interest has changed, and subscriptions
--   are those of persistent sessions alone.
-- Answers nil if the node is gone, 0 if another connection of this client has taken over, else 1.
local change = cmsgpack.unpack(ARGV[1])
local node, client = change.node, change.client
if not alive(node) then
    return nil
end
if client ~= '' and not has(client, node, digits(change.connection)) then
    return 0
end
for _, each in ipairs(change.subscriptions) do
    local filter, flags = each[1], each[2]
    if flags < 0 then
        redis.call('HDEL', 'subscriptions:' .. client, filter)
    else
        redis.call('HSET', 'subscriptions:' .. client, filter, flags)
    end
    -- Nothing of QoS 0 is queued.
    route('s:' .. client .. NUL .. filter, flags >= 0 and flags % 4 > 0 and tostring(flags))
end
for _, each in ipairs(change.interest) do
    local filter, flags = each[1], each[2]
    redis.call(flags < 0 and 'SREM' or 'SADD', 'interest:' .. node, filter)
    route('n:' .. node .. NUL .. filter, flags >= 0 and tostring(flags))
end
log_changes()
return 1
