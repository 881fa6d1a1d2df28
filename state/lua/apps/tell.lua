-- Say something else of a canary that runs. KEYS: the guard, canaries. ARGV: the application, `started_at` and `number` of
-- the canary that was read, and what is said of it now. Answers 0 where that one does not run any more.
local decoded, canary = pcall(cjson.decode, redis.call('HGET', KEYS[2], ARGV[1]) or '')
if not decoded or type(canary) ~= 'table' or canary['state'] ~= 'running'
    or canary['started_at'] ~= tonumber(ARGV[2]) or canary['number'] ~= tonumber(ARGV[3]) then
    return 0
end
redis.call('HSET', KEYS[2], ARGV[1], ARGV[4])
return 1
