-- Count something in the hash of lifetime counts. What is there and no number is none of ours: it begins anew.
local function add_to_total(totals, name, by)
    if type(redis.pcall('HINCRBY', totals, name, by)) == 'table' then
        redis.call('HSET', totals, name, by)
    end
end

-- Where a raw stream is empty, all that was accepted is finished: also what somebody removed from it by hand.
local function nothing_waits(progress, totals)
    redis.call('DEL', progress)
    local accepted = redis.call('HGET', totals, 'accepted')
    if accepted and accepted ~= redis.call('HGET', totals, 'finished') then
        redis.call('HSET', totals, 'finished', accepted)
    end
end
