-- What belongs together is in one table: T, the topic as this request sees it; S, subscriptions;
-- G, groups; M, messages; L, leaving; R, room; P, publishing; J, judging batches; C, consumers; W, waking
-- and telling; H, handing over; D, what is due; A, changing definitions; V, looking.

local T = { now = 0, c = {}, was = {}, stirred = {}, roused = {}, later = {}, bodies = {}, wanted = {} }
local S = {}

-- The others are filled when something of them is first used: whatever a script defines it defines anew
-- each time that it runs, and few requests need everything. `fill` has their files in it.
local fill
local LAZY = { __index = function(into, name)
  setmetatable(into, nil)
  fill(into)
  return into[name]
end }
local function lazy() return setmetatable({}, LAZY) end
local G, M, L, R, P, J = lazy(), lazy(), lazy(), lazy(), lazy(), lazy()
local C, W, H, D, A, V = lazy(), lazy(), lazy(), lazy(), lazy(), lazy()

-- What a subscription overrides if it overrides nothing.
local NONE = { false, false, false, false, false, false, false, false, false, false }

-- A subscription as the definition has it: number, name, settings, and while what is stored is still
-- to be copied into it, what of that was.
function S.make(number, name, settings, filled, below)
  local sub = { n = number, name = name, settings = settings, filled = filled, below = below,
    k = names(BASE .. 's' .. number .. ':'), delta = {}, lines = {}, dirty = {} }
  return sub
end

-- The options in effect. A bound of its topic is not one of a subscription.
function S.options(sub)
  local options = sub.options
  if not options then
    local own, of = sub.settings, T.o
    options = {
      ack_timeout = own[1] or of.ack_timeout, max_attempts = own[2] or of.max_attempts,
      dead_letter = own[3] or of.dead_letter, delivery = own[4] or of.delivery,
      dead_letter_expired = own[5] or of.dead_letter_expired, retry_min = own[6] or of.retry_min,
      retry_max = own[7] or of.retry_max, max_messages = own[8], max_bytes = own[9],
      overflow = own[10] or of.overflow, is_bounded = own[8] ~= false or own[9] ~= false, drops = false,
    }
    options.drops = options.is_bounded and options.overflow == 1
    sub.options = options
  end
  return options
end

-- Whether it is noted what may be dropped of a subscription, and in which order (`i`): where it drops
-- by itself, and everywhere while notes are being made for what will (R.stock_some).
function S.is_stocked(sub)
  return T.c.stocking == 1 or S.options(sub).drops
end

function T.is_stocked()
  return T.c.stocking == 1 or T.drops
end

-- Whether what a subscription gives up goes to another topic.
function S.buries(sub)
  local target = S.options(sub).dead_letter
  return target ~= false and target ~= T.name
end

function S.count(sub, field, by)
  sub.delta[field] = (sub.delta[field] or 0) + by
end

function S.counter(sub, field)
  return (tonumber(call('HGET', sub.k.c, field)) or 0) + (sub.delta[field] or 0)
end

-- How many messages wait or are delayed.
function S.waiting(sub)
  B.flush()
  return call('ZCARD', sub.k.w) + call('ZCARD', sub.k.b) + call('ZCARD', sub.k.d)
end

-- The topic's options, as a request and the definition have them.
function T.set_options(raw)
  T.raw = raw
  T.o = {
    priorities = raw[1], default_priority = raw[2], dedupe = raw[3], dedupe_window = raw[4], ttl = raw[5],
    ack_timeout = raw[6], max_attempts = raw[7], dead_letter = raw[8], dead_letter_expired = raw[9],
    retry_min = raw[10], retry_max = raw[11], max_messages = raw[12], max_bytes = raw[13],
    overflow = raw[14], durability = raw[15], delivery = raw[16], unsubscribed = raw[17],
    publish_id_window = raw[18], transient = raw[19],
  }
  T.drops = (raw[12] ~= false or raw[13] ~= false) and raw[14] == 1
  for _, sub in ipairs(T.subs) do sub.options = nil end
  T.kept.options = nil
  T.count_bounds()
end

-- Whether room is to be looked at at all.
function T.count_bounds()
  T.is_bounded = T.o.max_messages ~= false or T.o.max_bytes ~= false
  for _, sub in ipairs(T.all()) do
    T.is_bounded = T.is_bounded or S.options(sub).is_bounded
  end
end

-- What is kept while there is no subscription is in the first one to come, so to speak: it has its number.
function T.keep()
  T.kept = S.make(T.next_sub, false, NONE)
end

-- The subscriptions that messages are in: while there is none, what is kept.
function T.all()
  if #T.subs == 0 then return { T.kept } end
  return T.subs
end

function T.index()
  T.by_number, T.by_name = {}, {}
  for _, sub in ipairs(T.subs) do
    T.by_number[sub.n], T.by_name[sub.name] = sub, sub
  end
  if #T.subs == 0 then T.by_number[T.kept.n] = T.kept end
end

-- Reads the definition: { format, number, version, next subscription, subscriptions, options }, one value
-- after the other, since arrays within arrays take long to read. False if there is none.
function T.load()
  local raw = call('GET', KEYS[1])
  T.subs = {}
  T.name = string.match(BASE, '{(.*)}')
  if not raw then return false end
  local def = { select(2, pcall(decode, raw)) }
  -- What is no definition at all has format 0.
  T.format = type(def[1]) == 'number' and def[1] or 0
  if T.format == FORMAT and #def ~= DEFINED then T.format = 0 end
  if T.format ~= FORMAT then return true end
  T.number, T.version, T.next_sub = def[2], def[3], def[4]
  T.keep()
  for _, one in ipairs(def[5]) do
    local sub = S.make(one[1], one[2], one[3], one[4] or nil, one[5])
    T.subs[#T.subs + 1] = sub
    T.is_filling = T.is_filling or sub.filled ~= nil
  end
  T.index()
  T.set_options({ unpack(def, 6) })
  T.read_counters()
  return true
end

-- Counters that few requests need are read when they are asked for.
local RARE = { __index = function(counters, name)
  local value = tonumber(call('HGET', N.c, name) or 0)
  counters[name], T.was[name] = value, value
  return value
end }

function T.read_counters()
  local found = call('HMGET', N.c, 'now', 'due', 'seq', 'ticket', 'messages', 'bytes', 'letters', 'carried',
    'rest', 'stocking', 'published')
  local function counters()
    return {
      now = (found[1] or 0) + 0, due = (found[2] or NEVER) + 0, seq = (found[3] or 0) + 0,
      ticket = (found[4] or 0) + 0, messages = (found[5] or 0) + 0, bytes = (found[6] or 0) + 0,
      letters = (found[7] or 0) + 0, carried = (found[8] or 0) + 0, rest = (found[9] or 0) + 0,
      stocking = (found[10] or 0) + 0, published = (found[11] or 0) + 0,
    }
  end
  T.c, T.was = setmetatable(counters(), RARE), counters()
end

-- Writes the definition; `quietly` if nobody has to notice.
function T.define(quietly)
  if not quietly then T.version = T.version + 1 end
  local subs = {}
  T.is_filling = false
  for i, sub in ipairs(T.subs) do
    subs[i] = { sub.n, sub.name, sub.settings, sub.filled or false, sub.below or 0 }
    T.is_filling = T.is_filling or sub.filled ~= nil
  end
  call('SET', KEYS[1], encode(FORMAT, T.number, T.version, T.next_sub, subs, unpack(T.raw)))
end

-- Writes what waits, and lists the first of every group anew in which something happened.
function T.settle()
  B.flush()
  if T.is_dirty then G.settle() end
end

-- Something happens by itself when this time is over.
function T.due_at(time)
  if time < T.c.due then T.c.due = time end
end

-- The body of a message that is told; where it is answered.
function T.body(seq)
  local at = #T.wanted + 1
  T.wanted[at] = seq
  T.bodies[at] = call('HGET', N.m, seq)
  return at
end

-- Something may be there for those who take from a subscription.
function T.stir(sub)
  T.stirred[sub.n] = sub
end

-- Writes what has changed.
function T.save()
  local changed, was = {}, T.was
  for name, value in pairs(T.c) do
    if value ~= was[name] then
      changed[#changed + 1] = name
      changed[#changed + 1] = value
      was[name] = value
    end
  end
  if #changed > 0 then call('HSET', N.c, unpack(changed)) end
  for _, sub in ipairs(T.all()) do
    for field, by in pairs(sub.delta) do
      if by ~= 0 then call('HINCRBY', sub.k.c, field, by) end
      sub.delta[field] = nil
    end
  end
end
