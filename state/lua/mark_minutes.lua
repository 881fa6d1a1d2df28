-- Note that minutes were counted. An hour is to be written only if that is new, for the same minute is noted many times.
-- KEYS: guard, the hours that changed, the bits of hours. ARGV: how long bits are kept (ms), and for each of these hours
-- its mark, how many minutes, and they.

-- The first write needs no memory: after it Redis lets the others through at its maxmemory, too.
redis.call('DEL', KEYS[1])
local at = 2
for index = 3, #KEYS do
    local mark, count, new = ARGV[at], tonumber(ARGV[at + 1]), false
    for minute = at + 2, at + 1 + count do
        if redis.call('SETBIT', KEYS[index], ARGV[minute], 1) == 0 then
            new = true
        end
    end
    redis.call('PEXPIRE', KEYS[index], ARGV[1])
    if new then
        redis.call('SADD', KEYS[2], mark)
    end
    at = at + 2 + count
end
