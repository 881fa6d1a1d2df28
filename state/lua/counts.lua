-- Counters of a partition. KEYS: guard, hashes. ARGV: MessagePack of the fields of each hash.
-- Answers their values in this order: 0 for what is not there, -1 for what no decoder wrote.
local found = {}
for index, fields in ipairs(cmsgpack.unpack(ARGV[1])) do
    local values = redis.pcall('HMGET', KEYS[index + 1], unpack(fields))
    for field = 1, #fields do
        local value = 0
        if values.err then
            value = -1
        elseif values[field] then
            value = tonumber(values[field]) or -1
        end
        found[#found + 1] = value
    end
end
return found
