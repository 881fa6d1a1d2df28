-- Settle claimed windows once they are written: gone if nothing changed meanwhile, else due again. Due again, too, if
-- they are gone already: the claim had lapsed, and what somebody else wrote meanwhile may just have been overwritten.
-- ARGV: now, until (as claimed), then the members.
local AT_ONCE = 1000 -- arguments of one command: Lua can pass some 8,000
local until_ms = tonumber(ARGV[2])
for first = 3, #ARGV, AT_ONCE do
    local last = math.min(first + AT_ONCE - 1, #ARGV)
    local done, again = {}, {}
    for index, due in ipairs(redis.call('ZMSCORE', 'windows:dirty', unpack(ARGV, first, last))) do
        local member = ARGV[first + index - 1]
        if due and tonumber(due) == until_ms then
            done[#done + 1] = member
        elseif not due or tonumber(due) > until_ms then
            again[#again + 1] = ARGV[1]
            again[#again + 1] = member
        end
    end
    if #done > 0 then
        redis.call('ZREM', 'windows:dirty', unpack(done))
    end
    if #again > 0 then
        redis.call('ZADD', 'windows:dirty', unpack(again))
    end
end
