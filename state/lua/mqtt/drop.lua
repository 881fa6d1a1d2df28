-- Remove positions from a client's queue. ARGV: client, sequence numbers. Answers how many there were.
local client, freed, gone = ARGV[1], 0, 0
for index = 2, #ARGV do
    local bytes = take_out(client, ARGV[index])
    freed, gone = freed + bytes, gone + (bytes > 0 and 1 or 0)
end
charge(client, -freed)
return gone
