-- What has changed in the presence sets of one partition. KEYS: the guard, `touched`, its number, its life. ARGV: the
-- number that is known, and a life for the case that there is none. Answers in which life of which server that is
-- (another one may have lost what was known), the number now, and what has changed since.
local life = redis.call('GET', KEYS[4])
if not life then
    life = ARGV[2]
    -- Where Redis is full there is none: then all is read again each time.
    redis.pcall('SET', KEYS[4], life)
end
local run = string.match(redis.call('INFO', 'server'), 'run_id:(%w+)') or ''
local at = redis.call('GET', KEYS[3])
return {run .. ' ' .. life, string.match(at or '', '^%d+$') or '0', redis.call('ZRANGEBYSCORE', KEYS[2], '(' .. ARGV[1], '+inf')}
