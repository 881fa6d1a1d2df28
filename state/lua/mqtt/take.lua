-- A node has dealt with its inbox up to an entry. ARGV: node, bytes (the first part of the entry's id).
if alive(ARGV[1]) then
    redis.call('XTRIM', key('inbox', ARGV[1]), 'MINID', ARGV[2] .. '-1')
    redis.call('HSET', key('node', ARGV[1]), 'taken', ARGV[2])
end
