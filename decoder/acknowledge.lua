-- Acknowledge entries of a stream, and cut off what is done. KEYS: the stream. ARGV: group, entries.
redis.call('XACK', KEYS[1], unpack(ARGV))
trim(KEYS[1])
