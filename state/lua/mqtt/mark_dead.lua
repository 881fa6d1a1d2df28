-- From now on a node is gone. ARGV: node. Answers the connections whose wills are to be published.
if redis.call('HEXISTS', key('nodes'), ARGV[1]) == 1 then
    redis.call('HSET', key('nodes'), ARGV[1], CONDEMNED)
end
return redis.call('HKEYS', key('will', ARGV[1]))
