-- Keep dead letters, and count them. KEYS: the guard, dead, totals. ARGV: dead letters to keep; then of each letter the
-- name of its total, how many fields and values it has, and these.
redis.call('HLEN', KEYS[3])
local index = 2
while index <= #ARGV do
    local last = index + 1 + tonumber(ARGV[index + 1])
    redis.call('XADD', KEYS[2], 'MAXLEN', ARGV[1], '*', unpack(ARGV, index + 2, last))
    add_to_total(KEYS[3], ARGV[index], 1)
    index = last + 1
end
return 1
