-- Remove the mark of an hour if its bits are still those that were written.
-- KEYS: guard, the hours that changed, the bits. ARGV: mark, the bits.
if redis.call('GET', KEYS[3]) == ARGV[2] then
    redis.call('SREM', KEYS[2], ARGV[1])
end
