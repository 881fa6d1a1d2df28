-- What must be done once with raw entries whose effects are there: positions for the archive, dead letters, totals, and
-- the acknowledgement. Nothing, if none of the entries is pending any more: another decoder has done that, or we have,
-- and the answer was lost.
-- KEYS: the raw stream, positions, dead, totals.
-- ARGV: group, MessagePack of {entries, marked = indices of implausible positions joined by commas,
--   totals = {{name, increment}}, letters = {count of fields}, letters_max}, the entry for positions, empty if there is
--   none, then fields and values of the dead letters.
-- Answers how many entries it acknowledged, and 1 if more is to be trimmed.
local group, given = ARGV[1], cmsgpack.unpack(ARGV[2])

-- Redis commands take many arguments, and Lua's stack holds some thousands: so call them with CHUNK at a time.
local CHUNK = 1000

-- The first write needs no memory: after it Redis lets the others through at its maxmemory, too, so that what it has can
-- be worked off. And what is done once must not fail half way: a key of another type shows now (state/key_types.py).
redis.call('HDEL', KEYS[4], '')
redis.call('XLEN', KEYS[3])
redis.call('XLEN', KEYS[2])

local function is_pending()
    for _, entry in ipairs(given.entries) do
        -- Where the group is gone this is an error, and none is pending.
        if #redis.pcall('XPENDING', KEYS[1], group, entry, entry, 1) > 0 then
            return true
        end
    end
    return false
end
if not is_pending() then
    return {0, 0}
end

if #given.marked > 0 then
    redis.call('XADD', KEYS[2], '*', 'd', ARGV[3], 'i', given.marked)
elseif #ARGV[3] > 0 then
    redis.call('XADD', KEYS[2], '*', 'd', ARGV[3])
end

local next_field = 4
for _, count in ipairs(given.letters) do
    local last = next_field + count - 1
    redis.call('XADD', KEYS[3], 'MAXLEN', given.letters_max, '*', unpack(ARGV, next_field, last))
    next_field = last + 1
end

for _, total in ipairs(given.totals) do
    add_to_total(KEYS[4], total[1], total[2])
end

local acknowledged = 0
for first = 1, #given.entries, CHUNK do
    acknowledged = acknowledged
        + redis.call('XACK', KEYS[1], group, unpack(given.entries, first, math.min(first + CHUNK - 1, #given.entries)))
end
-- Last, for it is not an effect: whatever goes wrong with it, those are there.
return {acknowledged, trim(KEYS[1])}
