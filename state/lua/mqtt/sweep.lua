-- Drop positions that have waited too long, also of clients that never come back.
-- ARGV: drop what was queued before (ms), how many messages at a time.
-- Answers how many were dropped, and 1 if there may be more.
local before, count = tonumber(ARGV[1]), tonumber(ARGV[2])
local client = redis.call('ZRANGEBYSCORE', key('brief'), '-inf', '(' .. ARGV[1], 'LIMIT', 0, 1)[1]
if not client then
    return {0, 0}
end
local session = session_of(client)
local oldest_left = session and drop_old(client, session, 'brief', before, count)
if oldest_left then
    redis.call('ZADD', key('brief'), digits(oldest_left), client)
elseif not session or session.brief == 0 then
    redis.call('ZREM', key('brief'), client)
    redis.call('UNLINK', key('brief', client))
end
settle()
return {dropped.age, 1}
