-- What belongs together is in one table: T, the topic as this request sees it; S, subscriptions;
-- G, groups; M, messages; L, leaving; R, room; P, publishing; J, judging batches; C, consumers; W, waking
-- and telling; H, handing over; D, what is due; A, changing definitions; V, looking.

local T = { now = 0, c = {}, was = {}, stirred = {}, roused = {}, later = {}, bodies = {}, wanted = {} }
local S, G, M, L, R, P, J, C, W, H, D, A, V = {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}

local COUNTERS = { 'now', 'due', 'seq', 'ticket', 'stamp', 'attachment', 'messages', 'bytes', 'idle',
  'letters', 'carried', 'carrying', 'rest', 'published', 'expired', 'dropped', 'replaced', 'duplicates', 'dead' }
local OPTIONS = { 'priorities', 'default_priority', 'dedupe', 'dedupe_window', 'ttl', 'ack_timeout',
  'max_attempts', 'dead_letter', 'dead_letter_expired', 'retry_min', 'retry_max', 'max_messages',
  'max_bytes', 'overflow', 'durability', 'delivery', 'unsubscribed', 'publish_id_window', 'transient' }
local SETTINGS = { 'ack_timeout', 'max_attempts', 'dead_letter', 'delivery', 'dead_letter_expired',
  'retry_min', 'retry_max', 'max_messages', 'max_bytes', 'overflow' }
-- What a subscription without bounds of its own doesn't take from its topic.
local OWN = { max_messages = true, max_bytes = true }
local NONE = { false, false, false, false, false, false, false, false, false, false }

-- A subscription as the definition has it: number, name, settings, and while what is stored is still
-- to be copied into it, what of that was.
function S.make(number, name, settings, filled, below)
  local sub = { n = number, name = name, settings = settings, filled = filled, below = below,
    k = names(BASE .. 's' .. number .. ':'), delta = {}, lines = {}, dirty = {} }
  return sub
end

-- The options in effect.
function S.options(sub)
  local options = sub.options
  if not options then
    options = {}
    for i, name in ipairs(SETTINGS) do
      local own = sub.settings[i]
      if own == false and not OWN[name] then own = T.o[name] end
      options[name] = own
    end
    options.is_bounded = options.max_messages ~= false or options.max_bytes ~= false
    options.drops = options.is_bounded and options.overflow == 1
    sub.options = options
  end
  return options
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

function T.set_options(raw)
  local options = {}
  for i, name in ipairs(OPTIONS) do options[name] = raw[i] end
  T.o, T.raw = options, raw
  local is_bounded = options.max_messages ~= false or options.max_bytes ~= false
  T.drops = is_bounded and options.overflow == 1
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

-- The subscriptions that messages are in: while there is none, what is kept is in number 0.
function T.all()
  if #T.subs == 0 then return { T.kept } end
  return T.subs
end

function T.index()
  T.by_number, T.by_name = {}, {}
  for _, sub in ipairs(T.subs) do
    T.by_number[sub.n], T.by_name[sub.name] = sub, sub
  end
  if #T.subs == 0 then T.by_number[0] = T.kept end
end

function T.load()
  local raw = call('GET', KEYS[1])
  T.subs, T.kept = {}, S.make(0, false, NONE)
  T.name = string.match(BASE, '{(.*)}')
  if not raw then return false end
  local def = decode(raw)
  T.format = def[1]
  if T.format ~= FORMAT then return true end
  T.number, T.version, T.next_sub = def[2], def[3], def[4]
  for _, one in ipairs(def[6]) do
    local sub = S.make(one[1], one[2], one[3], one[4] or nil, one[5])
    T.subs[#T.subs + 1] = sub
    T.is_filling = T.is_filling or sub.filled ~= nil
  end
  T.index()
  T.set_options(def[5])
  T.read_counters()
  return true
end

function T.read_counters()
  local values = call('HMGET', N.c, unpack(COUNTERS))
  for i, name in ipairs(COUNTERS) do
    local value = tonumber(values[i]) or (name == 'due' and NEVER) or 0
    T.c[name], T.was[name] = value, value
  end
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
  call('SET', KEYS[1], encode({ FORMAT, T.number, T.version, T.next_sub, T.raw, subs }))
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
  local changed = {}
  for _, name in ipairs(COUNTERS) do
    if T.c[name] ~= T.was[name] then
      changed[#changed + 1] = name
      changed[#changed + 1] = T.c[name]
      T.was[name] = T.c[name]
    end
  end
  if #changed > 0 then call('HSET', N.c, unpack(changed)) end
  for _, sub in ipairs(T.all()) do
    for field, by in pairs(sub.delta) do
      if by ~= 0 then call('HINCRBY', sub.k.c, field, by) end
    end
    sub.delta = {}
  end
end
