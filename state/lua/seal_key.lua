-- The key of the present period, made if it is not there. By the clock of the keys' Redis, so that all who seal, and who
-- destroys, mean the same period.
-- KEYS: the guard, the hash of keys. ARGV: how the names of such keys begin, their period in seconds, a key for if there
-- is none. Answers the key's name, the key, and seconds until its period is over.
local now = tonumber(redis.call('TIME')[1])
local period = tonumber(ARGV[2])
local number = math.floor(now / period)
local name = string.format('%s%d', ARGV[1], number)
redis.call('HSETNX', KEYS[2], name, ARGV[3])
return {name, redis.call('HGET', KEYS[2], name), (number + 1) * period - now}
