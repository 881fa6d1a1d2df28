-- Change an order to the keeper of the lake, if it still is what its changer knows.
-- KEYS: the guard, the orders. ARGV: whose it is, what it is, what it becomes; empty for none. Answers 1, or 0 where it is
-- another one by now.
redis.call('DEL', KEYS[1])
if (redis.call('HGET', KEYS[2], ARGV[1]) or '') ~= ARGV[2] then
    return 0
end
if ARGV[3] == '' then
    redis.call('HDEL', KEYS[2], ARGV[1])
else
    redis.call('HSET', KEYS[2], ARGV[1], ARGV[3])
end
return 1
