-- A node says that it is there, and looks who else is. ARGV: node.
-- Answers nil if it is gone, else {{node, heartbeats, ...}, version of the routes, version of the users, what there is:
-- {retained messages, bytes, those of anonymous clients, bytes, persistent sessions, bytes}}.
if not alive(ARGV[1]) then
    return nil
end
add_number('nodes', ARGV[1], 1)
return {redis.call('HGETALL', 'nodes'), routes_version(),
    redis.call('GET', 'users:version') or '',
    {redis.call('HLEN', 'retained'), redis.call('HGET', 'retained:bytes', 'all') or 0,
        redis.call('SCARD', 'retained:anonymous'), redis.call('HGET', 'retained:bytes', 'anonymous') or 0,
        redis.call('SCARD', 'sessions'), redis.call('HGET', 'sessions:bytes', 'all') or 0}}
