-- Presence sets of one partition. KEYS: the guard, then the sets. ARGV: a device counts above the first time, and up to
-- the second one (ms since the epoch). Answers four numbers for each set: how many devices count, the newest and the
-- oldest time of these, and the first time above the second one; -1 for none.
local above, latest = '(' .. ARGV[1], ARGV[2]
local found, at = {}, 0

local function first_time(command, key, from, to)
    local time = tonumber(redis.call(command, key, from, to, 'WITHSCORES', 'LIMIT', 0, 1)[2] or '-1')
    -- No service of ours writes a time that is no whole number of milliseconds.
    return time < 2 ^ 53 and time or -1
end

for index = 2, #KEYS do
    local key = KEYS[index]
    local devices = redis.call('ZCOUNT', key, above, latest)
    found[at + 1], found[at + 2], found[at + 3] = devices, -1, -1
    if devices > 0 then
        found[at + 2] = first_time('ZREVRANGEBYSCORE', key, latest, above)
        found[at + 3] = first_time('ZRANGEBYSCORE', key, above, latest)
    end
    found[at + 4] = first_time('ZRANGEBYSCORE', key, '(' .. latest, '+inf')
    at = at + 4
end
return found
