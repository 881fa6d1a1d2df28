-- From now on a node is gone. ARGV: node. Answers the connections whose wills are to be published.
if redis.call('HEXISTS', 'nodes', ARGV[1]) == 1 then
    redis.call('HSET', 'nodes', ARGV[1], CONDEMNED)
end
return redis.call('HKEYS', 'will:' .. ARGV[1])
