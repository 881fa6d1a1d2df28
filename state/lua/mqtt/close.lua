-- A connection has ended. ARGV: node, connection, client, when its session expires (ms), forget its will (1 or 0).
local node, connection, client, expires, forget_will = unpack(ARGV)
if forget_will == '1' then
    redis.call('HDEL', key('will', node), connection)
end
detach(client, node, connection, expires)
log_changes()
