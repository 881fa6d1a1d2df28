-- Put what is retained into the queue of one client, as references.
-- ARGV: node, connection, client, name (of the call), now (ms), MessagePack of the limits (see queue.lua), then QoS and
-- topic of each.
-- Answers nil if another connection has taken over, else what was dropped (see queue.lua).
local node, connection, client, name, now, limits = unpack(ARGV, 1, 6)
if not has(client, node, connection) then
    return nil
end
local own = key('session', client)
if redis.call('HGET', own, 'enqueued') ~= name then
    -- Else it was done, and the answer was lost.
    limits = cmsgpack.unpack(limits)
    for index = 7, #ARGV do
        enqueue(client, 'r', ARGV[index], AGELESS, tonumber(now), limits)
    end
    settle()
    wake()
    redis.call('HSET', own, 'enqueued', name)
end
return losses()
