-- Counters of a partition. KEYS: guard, hashes. ARGV: of each hash, how many fields, and these.
-- Answers their values in this order: 0 for what is not there, -1 for what no decoder wrote.
local found, at = {}, 1
for index = 2, #KEYS do
    local fields = tonumber(ARGV[at])
    local values = redis.pcall('HMGET', KEYS[index], unpack(ARGV, at + 1, at + fields))
    for field = 1, fields do
        local value = 0
        if values.err then
            value = -1
        elseif values[field] then
            value = tonumber(values[field]) or -1
        end
        found[#found + 1] = value
    end
    at = at + 1 + fields
end
return found
