-- Settle claimed windows once they are written: gone if nothing changed meanwhile, else due again. Due again, too, if
-- they are gone already: the claim had lapsed, and what somebody else wrote meanwhile may just have been overwritten.
-- ARGV: now, until (as claimed), then the members.
for index = 3, #ARGV do
    local due = redis.call('ZSCORE', 'windows:dirty', ARGV[index])
    if due and tonumber(due) == tonumber(ARGV[2]) then
        redis.call('ZREM', 'windows:dirty', ARGV[index])
    elseif not due or tonumber(due) > tonumber(ARGV[2]) then
        redis.call('ZADD', 'windows:dirty', ARGV[1], ARGV[index])
    end
end
