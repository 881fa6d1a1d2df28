-- Cut off all entries of a stream that every one of its groups has acknowledged, and no others. A script that
-- acknowledges has this before its own text, so that an entry is acknowledged and gone at once, whatever dies.

-- What had piled up behind an entry that took long is cut off in several steps: it answers 1 if something is left.
-- Ids are compared as texts, for a number of Lua is exact up to 2^53 only, and each half of an id goes up to 2^64.
local TRIMMED_AT_ONCE = 1000 -- about 10 ms, where each has 64 KiB

local function smaller(a, b)
    return #a < #b or (#a == #b and a < b)
end

local function before(a, b)
    local a_time, a_number = string.match(a, '(%d+)-(%d+)')
    local b_time, b_number = string.match(b, '(%d+)-(%d+)')
    return smaller(a_time, b_time) or (a_time == b_time and smaller(a_number, b_number))
end

local function trim(stream)
    if redis.call('EXISTS', stream) == 0 then
        return 0 -- somebody has removed it meanwhile, and XINFO would end the script
    end
    local groups = redis.call('XINFO', 'GROUPS', stream)
    local oldest
    local function unfinished(id)
        if not oldest or before(id, oldest) then
            oldest = id
        end
    end
    for _, group in ipairs(groups) do
        local info = {}
        for index = 1, #group, 2 do
            info[group[index]] = group[index + 1]
        end
        if info.pending > 0 then
            unfinished(redis.call('XPENDING', stream, info.name)[2])
        end
        local undelivered = redis.call('XRANGE', stream, '(' .. info['last-delivered-id'], '+', 'COUNT', 1)[1]
        if undelivered then
            unfinished(undelivered[1])
        end
    end
    -- Where there is no group, nobody has read anything yet.
    if not oldest and #groups == 0 then
        return 0
    end
    local strategy, threshold = 'MINID', oldest
    if not oldest then
        strategy, threshold = 'MAXLEN', 0
    end
    -- Whole nodes of the stream first, of 100 entries at the most unless Redis is told otherwise, as far as the limit goes.
    if redis.call('XTRIM', stream, strategy, '~', threshold, 'LIMIT', TRIMMED_AT_ONCE) > TRIMMED_AT_ONCE - 100 then
        return 1
    end
    redis.call('XTRIM', stream, strategy, threshold)
    return 0
end
