-- A client has QoS 2 messages (PUBREC): what remains is to release them. ARGV: client, sequences.
local client, freed = ARGV[1], 0
if redis.call('EXISTS', key('session', client)) == 0 then
    return
end
for index = 2, #ARGV do
    freed = freed + take_out(client, ARGV[index])
    freed = freed - RELEASED * redis.call('ZADD', key('released', client), ARGV[index], ARGV[index])
end
charge(client, -freed)
