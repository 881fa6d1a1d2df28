-- A client has QoS 2 messages (PUBREC): what remains is to release them. ARGV: client, sequences.
local client = ARGV[1]
if redis.call('EXISTS', 'session:' .. client) == 0 then
    return
end
for index = 2, #ARGV do
    redis.call('XDEL', 'queue:' .. client, ARGV[index] .. '-0')
    redis.call('ZADD', 'released:' .. client, ARGV[index], ARGV[index])
end
