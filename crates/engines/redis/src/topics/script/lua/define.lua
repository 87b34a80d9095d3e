-- A: definitions come, change and go.

-- The sets of a subscription, without what is counted.
local SETS = { 'w', 'b', 'd', 'f', 'e', 'h', 'g', 'gb', 'gl', 'own', 'o', 'i' }
-- The keys of a topic, without its definition and counters.
local STORED = { 'h', 'm', 'r', 'q', 'k', 'x', 'd', 't', 'o', 'oe', 'og', 'i' }
local OTHERS = { 'u', 'ut', 'v', 'vt', 'a', 'l', 'rest', 'later' }

local function unlink(keys, known)
  local all = {}
  for i, name in ipairs(keys) do all[i] = known[name] end
  call('UNLINK', unpack(all))
end

-- Frees all messages at once, whatever becomes of them.
local function wipe()
  B.flush()
  unlink(STORED, N)
  for _, sub in ipairs(T.all()) do
    unlink(SETS, sub.k)
    call('HDEL', sub.k.c, 'bytes')
    sub.delta.bytes, sub.lines, sub.dirty = nil, {}, {}
  end
  T.c.messages, T.c.bytes, T.c.idle, T.c.letters, T.c.carried = 0, 0, 0, 0, 0
end

function A.define(step)
  local created = not T.number
  if created then
    if T.is_full then return { 'no', 'oom' } end
    T.number, T.version, T.next_sub = step[2], T.now, 1
    -- What is known of a topic that had this name before, and was removed, is right of nothing here.
    T.c.ticket, T.c.stamp = T.now, T.now
    T.keep()
    T.index()
    T.set_options(step[3])
    T.define()
  end
  return { 'defined', created, T.version, T.raw }
end

-- What drops by itself: subscriptions by number, and the topic.
local function what_drops()
  local drops = { topic = T.drops }
  for _, sub in ipairs(T.all()) do drops[sub.n] = S.options(sub).drops end
  return drops
end

-- Whether something drops now that didn't, with messages of which it isn't known whether they may go.
local function lacks_stock(before)
  if T.c.messages == 0 then return false end
  local lacks = T.drops and not before.topic
  for _, sub in ipairs(T.all()) do
    lacks = lacks or (S.options(sub).drops and not before[sub.n])
  end
  return lacks
end

function A.alter(step)
  if step[2] ~= T.version then return { 'no', 'changed', T.version } end
  local old, raw, drops = T.o, T.raw, what_drops()
  T.set_options(step[3])
  local new = T.o
  local fixed = T.c.messages > 0 and ((old.durability ~= new.durability and 'durability')
    or (old.dedupe ~= new.dedupe and 'dedupe')
    or (new.priorities < old.priorities and 'priorities'))
  if fixed then
    T.set_options(raw)
    return { 'no', 'needs-empty', fixed }
  end
  if lacks_stock(drops) then
    -- Until it is known what may be dropped, the old ones hold.
    T.set_options(raw)
    local after = R.stock_some(step[4] or 0)
    if after then return { 'altered', T.c.messages, T.c.bytes, after } end
    T.set_options(step[3])
  end
  R.settle_stock()
  if T.o.dedupe ~= 2 then call('UNLINK', N.v, N.vt) end
  for _, sub in ipairs(T.subs) do T.stir(sub) end
  T.define()
  return { 'altered', T.c.messages, T.c.bytes, false }
end

A['alter-sub'] = function(step)
  if step[2] ~= T.version then return { 'no', 'changed', T.version } end
  local sub = T.by_name[step[3]]
  if not sub then return { 'no', 'no-sub' } end
  local settings, drops = sub.settings, what_drops()
  A.set_settings(sub, step[4])
  if lacks_stock(drops) then
    A.set_settings(sub, settings)
    local after = R.stock_some(step[5] or 0)
    if after then return { 'altered', S.waiting(sub), S.counter(sub, 'bytes'), after } end
    A.set_settings(sub, step[4])
  end
  R.settle_stock()
  T.define()
  T.stir(sub)
  return { 'altered', S.waiting(sub), S.counter(sub, 'bytes'), false }
end

function A.set_settings(sub, settings)
  sub.settings, sub.options = settings, nil
  T.count_bounds()
end

-- Makes a subscription; moreover, how many kept messages it didn't want.
function A.make_subscription(name, from, settings)
  T.settle()
  local is_first = #T.subs == 0
  local sub, released = S.make(T.next_sub, name, settings), 0
  if is_first then
    -- What was kept has its number, and so is in it.
    if from == 'new' then
      released = T.c.messages
      T.c.dropped = T.c.dropped + released
      wipe()
    end
    T.save()
    call('HDEL', sub.k.c, 'dead')
  elseif from == 'all' and T.c.messages > 0 then
    sub.filled, sub.below = 0, T.c.seq + 1
  end
  T.next_sub = T.next_sub + 1
  T.subs[#T.subs + 1] = sub
  T.index()
  T.count_bounds()
  if is_first then R.settle_stock() end
  if sub.filled then D.fill(sub) end
  T.define()
  T.stir(sub)
  return sub, released
end

-- Notes what may be dropped of what is kept, if the first subscription will drop; where to go on.
local function stock_kept(settings, after)
  local first = S.make(T.next_sub, false, settings)
  if T.c.messages > 0 and S.options(first).drops then return R.stock_some(after) end
end

function A.subscribe(step)
  local sub, created, released = T.by_name[step[2]], false, 0
  if not sub then
    if T.is_full then return { 'no', 'oom' } end
    local after = #T.subs == 0 and step[3] ~= 'new' and stock_kept(step[4], step[5] or 0)
    if after then return { 'subscribed', 0, false, 0, step[4], T.raw, after } end
    sub, released = A.make_subscription(step[2], step[3], step[4])
    created = true
  end
  return { 'subscribed', sub.n, created, released, sub.settings, T.raw, false }
end

local function length(sub)
  return S.waiting(sub) + call('ZCARD', sub.k.f) + call('HLEN', sub.k.o)
end

local function remove_subscription(sub)
  unlink(SETS, sub.k)
  call('UNLINK', sub.k.c, sub.k.y)
  sub.delta, sub.lines, sub.dirty = {}, {}, {}
  for i, other in ipairs(T.subs) do
    if other == sub then table.remove(T.subs, i) break end
  end
  T.keep()
  T.stirred[sub.n] = nil
  T.index()
  T.count_bounds()
  T.define()
end

-- Takes up to a portion out of a set of a subscription, between two scores: what is older than `below`;
-- how many.
local function settle_between(sub, key, low, high, below, portion)
  local removed, skipped = 0, 0
  while removed < portion do
    B.flush()
    local found = call('ZRANGEBYSCORE', key, low, '(' .. format('%.0f', high), 'LIMIT', skipped, portion - removed)
    if #found == 0 then break end
    for _, text in ipairs(found) do
      local seq = tonumber(text)
      if seq < below and M.settle(sub, seq, M.head(seq)) then
        removed = removed + 1
      else
        skipped = skipped + 1
      end
    end
  end
  B.flush()
  return removed
end

-- The same of what waits, priority by priority, and of sets by sequence. No message stands at a position
-- above its sequence, so that few are looked at in vain.
local function settle_some(sub, keys, below)
  local removed = 0
  for lane = 0, T.o.priorities - 1 do
    local low = lane * LANE
    for _, key in ipairs({ sub.k.w, sub.k.b }) do
      removed = removed + settle_between(sub, key, low, low + min(below, LANE), below, PORTION - removed)
    end
  end
  for _, key in ipairs(keys) do
    removed = removed + settle_between(sub, key, 0, below, below, PORTION - removed)
  end
  return removed
end

function A.unsubscribe(step)
  local sub = T.by_name[step[2]]
  if not sub then
    if step[3] then return { 'removed', 0, false } end
    return { 'no', 'no-sub' }
  end
  C.end_all(sub)
  if #T.subs == 1 then
    local messages = length(sub)
    wipe()
    remove_subscription(sub)
    return { 'removed', messages, false }
  end
  local removed = settle_some(sub, { sub.k.d, sub.k.f }, NEVER)
  for i, stamp in ipairs(call('HVALS', sub.k.o)) do
    if removed < PORTION and L.remove(stamp) then removed = removed + 1 end
  end
  B.flush()
  if length(sub) > 0 then return { 'removed', removed, NEVER } end
  T.settle()
  remove_subscription(sub)
  return { 'removed', removed, false }
end

function A.purge(step)
  local subs, below = T.all(), step[3] or T.c.seq + 1
  if step[2] then
    local sub = T.by_name[step[2]]
    if not sub then return { 'no', 'no-sub' } end
    subs = { sub }
  end
  local stored, busy, removed = T.c.messages, T.c.letters, 0
  for _, sub in ipairs(subs) do
    busy, removed = busy + call('ZCARD', sub.k.f), removed + S.waiting(sub)
  end
  if busy == 0 and below > T.c.seq and (not step[2] or #T.subs <= 1) then
    T.c.dropped = T.c.dropped + removed
    wipe()
    return { 'removed', stored, false }
  end
  local more = false
  removed = 0
  for _, sub in ipairs(subs) do
    local taken = settle_some(sub, { sub.k.d }, below)
    removed = removed + taken
    more = more or taken == PORTION
  end
  T.c.dropped = T.c.dropped + removed
  if not step[2] then removed = stored - T.c.messages end
  return { 'removed', removed, more and below }
end

function A.delete()
  local messages = T.c.messages
  for _, process in ipairs(call('ZRANGE', N.l, 0, -1)) do
    call('UNLINK', N['p:' .. process], N['f:' .. process])
    if process ~= T.process then W.wake(process) end
  end
  wipe()
  unlink(OTHERS, N)
  for _, sub in ipairs(T.all()) do call('UNLINK', sub.k.c, sub.k.y) end
  call('UNLINK', KEYS[1], N.c)
  T.is_gone, T.number = true, nil
  return { 'removed', messages, false }
end

-- Removes messages that nobody holds.
function A.remove(step)
  local removed = 0
  for _, seq in ipairs(step[2] == T.number and step[3] or {}) do
    local head = M.head(seq)
    if head and M.is_idle(seq) and M.discard(seq, head) > 0 then removed = removed + 1 end
  end
  return { 'settled', removed }
end
