-- Save the state of a session over the one that it was made from, or write nothing.
--
-- KEYS[1] state     hash: revision, state (JSON), by (name of the save that wrote it)
-- ARGV[1] revision that the state was made from; nothing stored is revision 0
-- ARGV[2] state     ARGV[3] name of this save; repeating a save is harmless
-- ARGV[4] ttl of the key, s, or '' for none
--
-- Returns 1; or 0 if another revision is stored.
local stored = redis.call('HMGET', KEYS[1], 'revision', 'by')
if stored[2] == ARGV[3] then return 1 end
local revision = tonumber(stored[1] or '0')
if revision ~= tonumber(ARGV[1]) then return 0 end

redis.call('HSET', KEYS[1], 'revision', string.format('%d', revision + 1), 'state', ARGV[2], 'by', ARGV[3])
if ARGV[4] == '' then redis.call('PERSIST', KEYS[1]) else redis.call('EXPIRE', KEYS[1], ARGV[4]) end
return 1
