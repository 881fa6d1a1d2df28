-- Append an entry to a stream that is kept short. KEYS: the guard, the stream. ARGV: how long it may be, the entry's `d`.
-- Answers how many entries were cut off for it.
local before = redis.call('XLEN', KEYS[2])
redis.call('XADD', KEYS[2], 'MAXLEN', '~', ARGV[1], '*', 'd', ARGV[2])
return before + 1 - redis.call('XLEN', KEYS[2])
