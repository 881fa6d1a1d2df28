-- Remove a consumer, unless something is pending for it: that would be forgotten with it.
-- KEYS: the guard, the stream. ARGV: group, consumer.
if #redis.call('XPENDING', KEYS[2], ARGV[1], '-', '+', 1, ARGV[2]) > 0 then
    return 0
end
redis.call('XGROUP', 'DELCONSUMER', KEYS[2], ARGV[1], ARGV[2])
return 1
