-- Acknowledge entries of a stream, and cut off what is done. KEYS: the guard, the stream. ARGV: group, entries. Answers
-- what `trim` does.
redis.call('XACK', KEYS[2], unpack(ARGV))
return trim(KEYS[2])
