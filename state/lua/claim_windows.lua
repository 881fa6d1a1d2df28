-- Claim windows of a partition that are due, so that nobody else rolls them up.
-- KEYS: guard, dirty, claimed. ARGV: now, when the claim lapses (both ms), how many at the most. Answers their names.
local dirty, claimed, now, limit = KEYS[2], KEYS[3], ARGV[1], ARGV[3]
local AT_ONCE = 1000 -- arguments of one command: Lua can pass some 8,000

local function in_pieces(arguments, call)
    for first = 1, #arguments, AT_ONCE do
        call(unpack(arguments, first, math.min(first + AT_ONCE - 1, #arguments)))
    end
end

local function pairs_of(score, members)
    local found = {}
    for index, member in ipairs(members) do
        found[2 * index - 1] = score
        found[2 * index] = member
    end
    return found
end

-- The first write needs no memory: after it Redis lets the others through at its maxmemory, too.
redis.call('DEL', KEYS[1])

-- Whoever had these is dead, or so slow that its settling will find them gone.
local lapsed = redis.call('ZRANGEBYSCORE', claimed, '-inf', now, 'LIMIT', 0, limit)
in_pieces(pairs_of(now, lapsed), function(...)
    redis.call('ZADD', dirty, 'LT', ...)
end)
in_pieces(lapsed, function(...)
    redis.call('ZREM', claimed, ...)
end)

local taken, put_off
repeat
    local due, seen = redis.call('ZRANGEBYSCORE', dirty, '-inf', now, 'LIMIT', 0, limit), 0
    taken, put_off = {}, {}
    in_pieces(due, function(...)
        for _, lapses in ipairs(redis.call('ZMSCORE', claimed, ...)) do
            seen = seen + 1
            if lapses and tonumber(lapses) > tonumber(now) then
                -- It has changed since it was claimed: it waits for whoever writes it now.
                put_off[#put_off + 1] = lapses
                put_off[#put_off + 1] = due[seen]
            else
                taken[#taken + 1] = due[seen]
            end
        end
    end)
    in_pieces(put_off, function(...)
        redis.call('ZADD', dirty, ...)
    end)
until #taken > 0 or #put_off == 0
in_pieces(taken, function(...)
    redis.call('ZREM', dirty, ...)
end)
in_pieces(pairs_of(ARGV[2], taken), function(...)
    redis.call('ZADD', claimed, ...)
end)
return taken
