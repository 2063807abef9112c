-- Append one message to a session's inbox, once, and note that the session was rung.
--
-- KEYS[1] tl:{<session>}:inbox        stream of messages not yet accepted, field d
-- KEYS[2] tl:{<session>}:turn:<turn>  string <position>|<fingerprint>|<state>
-- KEYS[3] tl:rung:<shard>             sorted set by ms: sessions rung and not yet taken;
--                                     shard = crc32(session) % 16; from another one the sweep
--                                     of the workers moves it there
-- ARGV[1] session
-- ARGV[2] the message as JSON (docs/protocol.md)
-- ARGV[3] fingerprint of the message, or '' to take one of ARGV[2]: the same turn id with
--         another fingerprint is refused
-- ARGV[4] longest inbox   ARGV[5] seconds that a turn id is remembered
--
-- Returns {status, position, state, ring}:
--   enqueued   position is final                    ring is 1: send a bell, unless one is on its way
--   duplicate  position is that of the first time   ring is 1 while no worker has taken it
--   conflict   the turn id is in use with another fingerprint
--   full       the inbox is at its limit; nothing was written
-- A turn that was refused because its session was paused is unknown again: it may come later.
local fingerprint = ARGV[3]
if fingerprint == '' then fingerprint = redis.sha1hex(ARGV[2]) end

local known = redis.call('GET', KEYS[2])
local position, first, state = string.match(known or '', '^([^|]*)|([^|]*)|(.*)$')
if position and state ~= 'refused:session_paused' then
  if first ~= fingerprint then return {'conflict', position, state, 0} end
  return {'duplicate', position, state, state == '' and 1 or 0}
end
-- Registered first: if the inbox is no stream, whoever is rung for the session mends it.
local now = redis.call('TIME')
local ring = redis.call('ZADD', KEYS[3], 'NX', now[1] * 1000 + math.floor(now[2] / 1000), ARGV[1])
if redis.call('XLEN', KEYS[1]) >= tonumber(ARGV[4]) then return {'full', '', '', 1} end

position = redis.call('XADD', KEYS[1], '*', 'd', ARGV[2])
redis.call('PERSIST', KEYS[1])
redis.call('SET', KEYS[2], position .. '|' .. fingerprint .. '|', 'EX', ARGV[5])
return {'enqueued', position, '', ring}
