-- A node says that it is there, and looks who else is. ARGV: node.
-- Answers nil if it is gone, else {{node, heartbeats, ...}, version of the routes, version of the users, what there is:
-- {retained messages, bytes, those of anonymous clients, bytes, persistent sessions, bytes}}.
if not alive(ARGV[1]) then
    return nil
end
add_number(key('nodes'), ARGV[1], 1)
return {redis.call('HGETALL', key('nodes')), routes_version(),
    redis.call('GET', key('users:version')) or '',
    {redis.call('HLEN', key('retained')), redis.call('HGET', key('retained:bytes'), 'all') or 0,
        redis.call('SCARD', key('retained:anonymous')), redis.call('HGET', key('retained:bytes'), 'anonymous') or 0,
        redis.call('SCARD', key('sessions')), redis.call('HGET', key('sessions:bytes'), 'all') or 0}}
