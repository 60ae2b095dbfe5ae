-- One message against all its limits: counted for each of them, or for none.
--
-- KEYS[i]               what is counted
-- ARGV[2i-1], ARGV[2i]  how many in how many seconds
-- Returns 0, or which limit is reached.
--
-- A window slides: it holds what came in this period, and of the period before
-- the share that is still inside of it. Two numbers for each key are enough.
local time = redis.call('TIME')
local now = time[1] + time[2] / 1000000

local function window(key, seconds)
	local period = math.floor(now / seconds)
	local v = redis.call('HMGET', key, 'period', 'now', 'before')
	local at, this, before = tonumber(v[1] or period), tonumber(v[2] or 0),
	    tonumber(v[3] or 0)
	if at == period - 1 then
		this, before = 0, this
	elseif at < period then
		this, before = 0, 0
	end
	return period, this, before, now / seconds - period
end

for i, key in ipairs(KEYS) do
	local seconds = tonumber(ARGV[2 * i])
	local _, this, before, part = window(key, seconds)
	if this + before * (1 - part) + 1 > tonumber(ARGV[2 * i - 1]) then
		return i
	end
end
for i, key in ipairs(KEYS) do
	local seconds = tonumber(ARGV[2 * i])
	local period, this, before = window(key, seconds)
	redis.call('HSET', key, 'period', period, 'now', this + 1,
	    'before', before)
	redis.call('EXPIRE', key, 2 * seconds)
end
return 0
