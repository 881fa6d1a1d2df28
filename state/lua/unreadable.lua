-- Remove what cannot be read, and leave a dead letter for it; nothing where somebody else has removed it.
-- KEYS: the guard, dead, totals, and the key that it is in, if it is to be removed. ARGV: dead letters to keep, name of the
-- total, how many fields and values the letter has, these, the command that removes it, and what follows the key there.
redis.call('HLEN', KEYS[3])
local last = 3 + tonumber(ARGV[3])
if KEYS[4] and redis.call(ARGV[last + 1], KEYS[4], unpack(ARGV, last + 2)) == 0 then
    return 0
end
redis.call('XADD', KEYS[2], 'MAXLEN', '~', ARGV[1], '*', unpack(ARGV, 4, last))
add_to_total(KEYS[3], ARGV[2], 1)
return 1
