-- Publish a batch of a turn's events under its claim, or write nothing.
--
-- KEYS[1] meta   KEYS[2] log
-- KEYS[3] settled: with the end of a turn that never started, the string that exists once it was
--         published
-- ARGV[1] channel
-- ARGV[2] fence of the claim, or '' with KEYS[3]
-- ARGV[3] number of this batch within the claim, or ''; repeating a batch is harmless.  The end of
--         a turn has the highest number: nothing of its claim comes after it
-- ARGV[4] epoch that the claim publishes in; '' accepts any
-- ARGV[5] floor   ARGV[6] name for a new epoch   ARGV[7] messages in the transcript
-- ARGV[8] longest log   ARGV[9] ttl of the log, s   ARGV[10] ttl of meta, s
-- ARGV[11] '1' if this batch ends the turn that was playing, so that a snapshot may stand here
-- ARGV[12..] events
--
-- Returns {status, epoch, top}; status is one of
--   ok        written
--   repeated  this batch, or this terminal event, was written before
--   fenced    a newer claim has published: the caller lost the session, or, with the end of a turn,
--             the newer claim has published it first
--   epoch     the log the claim publishes in is gone: publish the attempt again from its start
local meta = redis.call('HMGET', KEYS[1], 'epoch', 'top', 'fence', 'batch')
local epoch, top = meta[1], tonumber(meta[2] or '0')
local fence, batch = tonumber(meta[3] or '0'), tonumber(meta[4] or '0')

if KEYS[3] and redis.call('EXISTS', KEYS[3]) == 1 then return {'repeated', epoch or '', top} end
if ARGV[2] ~= '' then
  local mine, number = tonumber(ARGV[2]), tonumber(ARGV[3])
  if mine < fence then return {'fenced', epoch or '', top} end
  if mine == fence and number <= batch then return {'repeated', epoch or '', top} end
end
if ARGV[4] ~= '' and ARGV[4] ~= (epoch or '') then return {'epoch', epoch or '', top} end

local limits = {length = ARGV[8], log_ttl = ARGV[9], meta_ttl = ARGV[10]}
local origin = {floor = ARGV[5], epoch = ARGV[6], messages = ARGV[7]}
local events = {}
for i = 12, #ARGV do events[#events + 1] = ARGV[i] end
epoch, top = append(KEYS[1], KEYS[2], ARGV[1], limits, origin, events)

if ARGV[2] ~= '' then redis.call('HSET', KEYS[1], 'fence', ARGV[2], 'batch', ARGV[3]) end
if KEYS[3] then redis.call('SET', KEYS[3], string.format('%d', top), 'EX', ARGV[10]) end
if ARGV[11] == '1' then
  redis.call('HSET', KEYS[1], 'settled', string.format('%d', top), 'messages', ARGV[7])
end
return {'ok', epoch, top}
