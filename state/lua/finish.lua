-- What must be done once with raw messages whose effects are there: positions for the archive, dead letters, totals, and
-- the acknowledgement of their entries, or how far the last of them has come. Nothing of it where one of the entries is
-- not as it was when the messages were read: somebody else has finished some of them, or we have, and the answer was lost.
-- KEYS: the guard, the raw stream, progress, positions, dead, totals.
-- ARGV: group, MessagePack of {entries = {id, ..., of those that come to their end, and of one that does not},
--   from = {how many messages of each were done before}, counts = {messages of each that are done now, as
--   they were counted when they were appended},
--   to = how many messages of the last entry are done afterwards, nothing if it comes to its end,
--   marked = indices of implausible positions joined by commas,
--   totals = {{name, increment}}, letters = {count of fields}, letters_max, traced = ids of entries whose positions are
--   traced, joined by commas, nothing if there are none}, the entry for positions, empty if there is none, then fields and
--   values of the dead letters.
-- Answers 1 if more is to be trimmed, else 0; or of each entry how many messages are done, -1 for all.
local group, given = ARGV[1], cmsgpack.unpack(ARGV[2])
local entries = given.entries

-- Redis commands take many arguments, and Lua's stack holds some thousands: so call them with CHUNK at a time.
local CHUNK = 1000

-- The first write needs no memory: after it Redis lets the others through at its maxmemory, too, so that what it has can
-- be worked off. And what is done once must not fail half way: a key of another type shows now (state/key_types.py).
redis.call('HDEL', KEYS[6], '')
redis.call('HLEN', KEYS[3])
redis.call('XLEN', KEYS[4])
redis.call('XLEN', KEYS[5])

-- Which of the entries are pending. They mostly lie side by side, so one look finds them all.
local pending, found = {}, 0
local function look(first, last, count)
    -- Where the group is gone this is an error, and none is pending.
    for _, entry in ipairs(redis.pcall('XPENDING', KEYS[2], group, first, last, count)) do
        pending[entry[1]] = true
    end
end
if #entries > 2 then
    look(entries[1], entries[#entries], #entries)
end
local done, as_it_was = {}, true
for index, entry in ipairs(entries) do
    if not pending[entry] then
        look(entry, entry, 1)
    end
    done[index] = -1
    if pending[entry] then
        done[index] = 0
    end
end
for first = 1, #entries, CHUNK do
    local known = redis.call('HMGET', KEYS[3], unpack(entries, first, math.min(first + CHUNK - 1, #entries)))
    for index, messages in ipairs(known) do
        local at = first + index - 1
        if messages and done[at] == 0 then
            done[at] = tonumber(messages)
        end
    end
end
for index in ipairs(entries) do
    if done[index] ~= given.from[index] then
        return done
    end
end

if #ARGV[3] > 0 then
    local fields = {'d', ARGV[3]}
    if #given.marked > 0 then
        fields[3], fields[4] = 'i', given.marked
    end
    if given.traced then
        fields[#fields + 1], fields[#fields + 2] = 't', given.traced
    end
    redis.call('XADD', KEYS[4], '*', unpack(fields))
end

local next_field = 4
for _, count in ipairs(given.letters) do
    local last = next_field + count - 1
    redis.call('XADD', KEYS[5], 'MAXLEN', given.letters_max, '*', unpack(ARGV, next_field, last))
    next_field = last + 1
end

local finished = 0
for _, count in ipairs(given.counts) do
    finished = finished + count
end
for _, total in ipairs(given.totals) do
    add_to_total(KEYS[6], total[1], total[2])
end
if finished > 0 then
    add_to_total(KEYS[6], 'finished', finished)
end

local last = #entries
if given.to then
    redis.call('HSET', KEYS[3], entries[last], given.to)
    last = last - 1
end
for first = 1, last, CHUNK do
    redis.call('XACK', KEYS[2], group, unpack(entries, first, math.min(first + CHUNK - 1, last)))
end
for index = 1, last do
    if given.from[index] > 0 then
        redis.call('HDEL', KEYS[3], entries[index])
    end
end
-- Last, for it is not an effect: whatever goes wrong with it, those are there.
local left = trim(KEYS[2])
if redis.call('XLEN', KEYS[2]) == 0 then
    nothing_waits(KEYS[3], KEYS[6])
end
return left
