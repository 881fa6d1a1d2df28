-- A client has finished with QoS 2 messages (PUBCOMP). ARGV: client, sequences.
local client, gone = ARGV[1], 0
for index = 2, #ARGV do
    gone = gone + redis.call('ZREM', key('released', client), ARGV[index])
end
charge(client, -RELEASED * gone)
