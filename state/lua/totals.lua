-- Count something in the hash of lifetime counts. What is there and no number is none of ours: it begins anew.
local function add_to_total(totals, name, by)
    if type(redis.pcall('HINCRBY', totals, name, by)) == 'table' then
        redis.call('HSET', totals, name, by)
    end
end
