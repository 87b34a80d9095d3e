-- V: looking without disturbing.

-- Most messages that one look passes over.
V.PASSED = 10000

local function published(seq)
  local head = seq and M.head(seq)
  return head and head[3] or false
end

-- When the oldest of a subscription was published, and how many wait a priority.
local function lanes(sub)
  local oldest, counts, used = nil, {}, 0
  local function older(seq)
    seq = tonumber(seq)
    if seq and (not oldest or seq < oldest) then oldest = seq end
  end
  for lane = 0, T.o.priorities - 1 do
    local low, high = lane * LANE, '(' .. format('%.0f', (lane + 1) * LANE)
    local count = 0
    for _, key in ipairs({ sub.k.w, sub.k.b }) do
      count = count + call('ZCOUNT', key, low, high)
      older(call('ZRANGEBYSCORE', key, low, high, 'LIMIT', 0, 1)[1])
    end
    counts[lane + 1] = count
    if count > 0 then used = lane + 1 end
  end
  older(call('ZRANGE', sub.k.d, 0, 0)[1])
  older(call('ZRANGE', sub.k.f, 0, 0)[1])
  if call('HLEN', sub.k.o) <= PORTION then
    for _, seq in ipairs(call('HKEYS', sub.k.o)) do older(seq) end
  end
  for lane = used + 1, #counts do counts[lane] = nil end
  return published(oldest), counts
end

function V.inspect()
  T.settle()
  local subs = {}
  for i, sub in ipairs(T.subs) do
    local oldest, counts = lanes(sub)
    local in_flight = call('ZCARD', sub.k.f) + call('HLEN', sub.k.o)
    subs[i] = { sub.n, sub.name, sub.settings, S.waiting(sub), call('ZCARD', sub.k.d), counts, oldest,
      in_flight, S.counter(sub, 'consumers'), S.counter(sub, 'acked'), S.counter(sub, 'redelivered'),
      S.counter(sub, 'late'), S.counter(sub, 'dead') }
  end
  local c = T.c
  return { 'inspected', T.version, T.raw, c.messages, c.bytes, published(call('ZRANGE', N.q, 0, 0)[1]),
    c.published, c.expired, c.dropped, c.replaced, c.duplicates, c.dead, subs }
end

-- Sequences in a set by score, from behind `after` on.
local function behind(key, after, count)
  return call('ZRANGEBYSCORE', key, '(' .. format('%.0f', after), '+inf', 'WITHSCORES', 'LIMIT', 0, count)
end

-- What waits behind a place, merged of those that are listed and those that aren't.
local function waiting(sub, after, count)
  local listed, rest, merged = behind(sub.k.w, after, count), behind(sub.k.b, after, count), {}
  local i, j = 1, 1
  while #merged < 2 * count and (listed[i] or rest[j]) do
    local from = listed
    local at = i
    if not listed[i] or (rest[j] and tonumber(rest[j + 1]) < tonumber(listed[i + 1])) then
      from, at, j = rest, j, j + 2
    else
      i = i + 2
    end
    merged[#merged + 1] = from[at]
    merged[#merged + 1] = from[at + 1]
  end
  return merged
end

-- The parts of a look: { state, function of where it is and how many, where it begins }.
local function parts(sub, from, only)
  if not sub then
    return { { 0, function(after, count) return behind(N.q, after, count) end, from[3] or -1 } }
  end
  local all, found = {
    { 0, function(after, count) return waiting(sub, after, count) end },
    { 1, function(after, count) return behind(sub.k.d, after, count) end },
    { 2, function(after, count) return behind(sub.k.f, after, count) end },
  }, {}
  for _, part in ipairs(all) do
    part[3] = -1
    if from[1] == 'after' and from[2] == part[1] then part[3] = from[3] end
    local is_over = from[1] == 'after' and from[2] > part[1]
    if not is_over and (not only or only == part[1]) then found[#found + 1] = part end
  end
  return found
end

-- The one message with a sequence, as a look would come to it.
local function one(sub, seq, from)
  local head = M.head(seq)
  if not head then return nil end
  local state, score = 0, seq
  if sub then
    if call('ZSCORE', sub.k.f, seq) then
      state = 2
    elseif call('ZSCORE', sub.k.d, seq) then
      state = 1
    else
      score = S.queued(sub, seq, head)
      if not score then return nil end
    end
  end
  if from[1] == 'after' and (from[2] > state or (from[2] == state and from[3] >= score)) then return nil end
  return state, score
end

function V.peek(step)
  T.settle()
  local sub = step[2] and T.by_name[step[2]]
  if step[2] and not sub then return { 'no', 'no-sub' } end
  local from, id, since, til, state = step[3], step[4], step[5], step[6], step[7]
  local limit, passed, room = step[8], min(step[9], V.PASSED), step[10]
  if not sub and state then return { 'no', 'no-state' } end
  local least = 0
  if from[1] == 'id' then
    if from[2] ~= T.number then return { 'no', 'other-topic', T.number, from[2], from[3] } end
    least = from[3]
    if not sub then from = { 'after', 0, least - 1 } end
  end
  if id and id[1] ~= T.number then return { 'no', 'other-topic', T.number, id[1], id[2] } end
  local seen, last, has_more = {}, false, false
  local function look(at, text, score)
    local seq = tonumber(text)
    local raw = call('HGET', N.h, seq)
    local head = raw and decode(raw)
    last = { at, score }
    if not head or M.is_expired(head) or seq < least or (since and head[3] < since)
      or (til and head[3] >= til) or (state and state ~= at) then return true end
    if #seen > 0 and head[2] > room then return false end
    room = max(room - head[2], 0)
    local e = sub and S.entry(sub, seq, head)
    seen[#seen + 1] = { at, score, seq, e and e[2] or 0, not sub and M.is_idle(seq), raw, T.body(seq) }
    return true
  end
  if id then
    local at, score = one(sub, id[2], from)
    if at then look(at, id[2], score) end
    return { 'peeked', seen, false, sub and true or false }
  end
  for _, part in ipairs(parts(sub, from, state)) do
    local after = part[3]
    repeat
      local found = part[2](after, PORTION)
      for i = 1, #found, 2 do
        if #seen >= limit or passed == 0 then has_more = true break end
        local before = last
        after = tonumber(found[i + 1])
        passed = passed - 1
        if not look(part[1], found[i], after) then
          last, has_more = before, true
          break
        end
      end
    until has_more or #found == 0
    if has_more then break end
  end
  return { 'peeked', seen, has_more and last or false, sub and true or false }
end
