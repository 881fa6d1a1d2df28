-- A client has QoS 1 messages (PUBACK). ARGV: client, sequences.
local client, freed = ARGV[1], 0
for index = 2, #ARGV do
    freed = freed + take_out(client, ARGV[index])
end
charge(client, -freed)
