-- Let a group pass over what it has not taken of a stream, up to an entry, and cut off what is done.
-- KEYS: the guard, the stream. ARGV: group, the last entry to pass over, how many at a time. Answers how many it has
-- passed over, fewer than that where nothing is left, and what `trim` answers.
local group, last, most = ARGV[1], ARGV[2], tonumber(ARGV[3])
local skipped = 0
local pending = redis.call('XPENDING', KEYS[2], group, '-', last, most)
if #pending > 0 then
    local ids = {}
    for index, each in ipairs(pending) do
        ids[index] = each[1]
    end
    skipped = redis.call('XACK', KEYS[2], group, unpack(ids))
end
if skipped < most then
    local delivered
    for _, told in ipairs(redis.call('XINFO', 'GROUPS', KEYS[2])) do
        local info = {}
        for index = 1, #told, 2 do
            info[told[index]] = told[index + 1]
        end
        if info.name == group then
            delivered = info['last-delivered-id']
        end
    end
    local undelivered = {}
    if before(delivered, last) then
        undelivered = redis.call('XRANGE', KEYS[2], '(' .. delivered, last, 'COUNT', most - skipped)
    end
    if #undelivered > 0 then
        redis.call('XGROUP', 'SETID', KEYS[2], group, undelivered[#undelivered][1])
        skipped = skipped + #undelivered
    end
end
return {skipped, trim(KEYS[2])}
