-- Append entries to a raw stream, in their order, unless too many messages wait in it (state/entries.py, state/raw.py).
-- KEYS: the guard, the raw stream, progress, totals. ARGV: how many messages may wait, then of each entry how many messages it
-- has, and the batch.
-- Answers how many messages wait, with these, and 1 if they were appended.
local counts = redis.call('HMGET', KEYS[4], 'accepted', 'finished')
local waiting = (tonumber(counts[1]) or 0) - (tonumber(counts[2]) or 0)
local length = redis.call('XLEN', KEYS[2])
if length == 0 and waiting ~= 0 then
    nothing_waits(KEYS[3], KEYS[4])
    waiting = 0
end
-- Entries that were not counted, of the version before, are a message each.
waiting = math.max(waiting, length)
if waiting > tonumber(ARGV[1]) then
    return {waiting, 0}
end
local messages = 0
for index = 2, #ARGV, 2 do
    redis.call('XADD', KEYS[2], '*', 'n', ARGV[index], 'b', ARGV[index + 1])
    messages = messages + tonumber(ARGV[index])
end
if messages > 0 then
    add_to_total(KEYS[4], 'accepted', messages)
end
return {waiting + messages, 1}
