-- Clear up a part of what a condemned node has left. ARGV: node, when its sessions expire (ms), how much at a time.
-- Answers 1 while there is more to do. Its wills come first, and are not for this script.
local node, expires, count = ARGV[1], ARGV[2], tonumber(ARGV[3])
local found = redis.call('HRANDFIELD', key('clients', node), count, 'WITHVALUES')
for index = 1, #found, 2 do
    detach(found[index + 1], node, found[index], expires)
end
if #found == 0 then
    found = redis.call('SPOP', key('interest', node), count)
    for _, filter in ipairs(found) do
        route('n:' .. node .. NUL .. filter, false)
    end
end
log_changes()
if #found > 0 then
    return 1
end
redis.call('UNLINK', key('inbox', node), key('node', node))
redis.call('HDEL', key('nodes'), node)
return 0
