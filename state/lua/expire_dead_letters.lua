-- Remove old dead letters, and count them. KEYS: the guard, dead, totals. ARGV: before when (ms), the total's name.
-- Whole nodes of the stream first, so that no script takes long.
-- Answers how many it removed, and 1 if there may be more.
local gone = redis.call('XTRIM', KEYS[2], 'MINID', '~', ARGV[1], 'LIMIT', 500)
local left = gone > 400 and 1 or 0
if left == 0 then
    gone = gone + redis.call('XTRIM', KEYS[2], 'MINID', ARGV[1])
end
if gone > 0 then
    redis.call('HINCRBY', KEYS[3], ARGV[2], gone)
end
return {gone, left}
