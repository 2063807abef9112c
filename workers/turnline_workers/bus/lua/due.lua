-- Return sessions that were rung some time ago and not taken since, and note that they are rung now.
--
-- KEYS[1] one shard of the registry of rung sessions
-- ARGV[1] seconds that a bell gets before it counts as lost   ARGV[2] most sessions to return
local now = redis.call('TIME')
local ms = now[1] * 1000 + math.floor(now[2] / 1000)
local due = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', ms - ARGV[1] * 1000, 'LIMIT', 0, ARGV[2])
for _, session in ipairs(due) do redis.call('ZADD', KEYS[1], 'XX', ms, session) end
return due
