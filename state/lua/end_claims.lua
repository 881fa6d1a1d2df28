-- End claims on windows of a partition.
-- KEYS: guard, dirty, claimed. ARGV: now, when the claim lapses, when the windows are due again (ms; empty if they are
-- written, so that only what has changed since is due), and their names.
local dirty, claimed, now, lapses, due = KEYS[2], KEYS[3], ARGV[1], tonumber(ARGV[2]), ARGV[3]
local AT_ONCE = 1000 -- arguments of one command: Lua can pass some 8,000

-- The first write needs no memory: after it Redis lets the others through at its maxmemory, too.
redis.call('DEL', KEYS[1])
for first = 4, #ARGV, AT_ONCE do
    local last = math.min(first + AT_ONCE - 1, #ARGV)
    local claims = redis.call('ZMSCORE', claimed, unpack(ARGV, first, last))
    local dues = redis.call('ZMSCORE', dirty, unpack(ARGV, first, last))
    local ended, again, others = {}, {}, {}
    for index, claim in ipairs(claims) do
        local member = ARGV[first + index - 1]
        if claim and tonumber(claim) == lapses then
            ended[#ended + 1] = member
            if due ~= '' then
                again[#again + 1] = due
                again[#again + 1] = member
            elseif dues[index] and tonumber(dues[index]) == lapses then
                -- It was due again, and put off for us.
                again[#again + 1] = now
                again[#again + 1] = member
            end
        else
            -- The claim had lapsed, and what somebody else wrote meanwhile may just have been overwritten.
            others[#others + 1] = now
            others[#others + 1] = member
        end
    end
    if #ended > 0 then
        redis.call('ZREM', claimed, unpack(ended))
    end
    if #again > 0 then
        redis.call('ZADD', dirty, unpack(again))
    end
    if #others > 0 then
        redis.call('ZADD', dirty, 'LT', unpack(others))
    end
end
