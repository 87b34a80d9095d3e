-- A client's batch: looked at as a whole before anything of it is done.

-- Reads what is to be acknowledged by all these steps in one go.
function J.read_ahead(steps)
  local seqs, count = {}, 0
  for _, step in ipairs(steps) do
    for _, change in ipairs(step[1] == 'batch' and step[3] or {}) do
      local holds = change[1] == 'a' and change[3] or {}
      for i = 1, #holds, 3 do
        local number = holds[i]
        local list = seqs[number] or {}
        seqs[number], count = list, count + 1
        list[#list + 1] = holds[i + 1]
      end
    end
  end
  if count < 2 then return end
  local ahead = {}
  for number, list in pairs(seqs) do
    local sub = T.by_number[number]
    if sub then
      local entries, heads, found = fields(sub.k.e, list), M.heads(list), {}
      for i, seq in ipairs(list) do found[seq] = { entries[i], heads[i] } end
      ahead[number] = found
    end
  end
  B.ahead = ahead
end

-- The subscription, entry and head of a delivery that is held; nil if it isn't.
function J.held(number, seq, ticket)
  local sub = T.by_number[number]
  if not sub or B.gone[number .. ':' .. seq] then return nil end
  local read = B.ahead and B.ahead[number] and B.ahead[number][seq]
  local raw = read and read[1]
  if not read then raw = call('HGET', sub.k.e, seq) end
  local e = raw and { decode(raw) }
  if not e or e[5] ~= ticket or (e[6] and e[6] < T.now) then return nil end
  raw = read and read[2]
  if not read then raw = call('HGET', N.h, seq) end
  local head = raw and decode(raw)
  if not head or M.is_expired(head) then return nil end
  return sub, e, head
end

local function check_message(message)
  if #T.subs == 0 and T.o.unsubscribed == 2 then return { 'no', 'nobody' } end
  if message[6] ~= 0 or message[8] ~= 0 then
    local expires, deliver = P.times(message)
    if expires and deliver and deliver >= expires then return { 'no', 'delayed', deliver, expires } end
  end
  if message[4] and message[4] >= T.o.priorities then
    return { 'no', 'priority', message[4], T.o.priorities }
  end
end

-- Why a batch can't be done.
local function check(strict, changes)
  local added, size, settled = 0, 0, {}
  for _, change in ipairs(changes) do
    local op = change[1]
    if op == 'p' then
      local message = change[3]
      if #T.subs > 0 or not change[2] then
        if T.is_full then return { 'no', 'oom' } end
        local refused = check_message(message)
        if refused then return refused end
        if T.is_bounded then
          local is_dropped = #T.subs == 0 and T.o.unsubscribed == 1
          if not is_dropped and not P.repeats(message) then
            local key = T.o.dedupe == 1 and message[2]
            if not (key and call('HEXISTS', N.k, key) == 1) then added = added + 1 end
            size = size + message[10]
          end
          refused = R.refuses(added, size)
          if refused then return refused end
        end
      end
    elseif strict and op ~= 'l' then
      local holds = change[3]
      B.flush()
      for i = 1, #holds, 3 do
        local id = holds[i] .. ':' .. holds[i + 1]
        local is_settled = op ~= 'e' and settled[id]
        if is_settled or not J.held(holds[i], holds[i + 1], holds[i + 2]) then
          return { 'no', 'not-held', change[2], holds[i], holds[i + 1], holds[i + 2] }
        end
        settled[id] = settled[id] or op ~= 'e'
      end
    end
  end
end

local function ack(sub, seq, e, head)
  B.gone[sub.n .. ':' .. seq] = true
  S.end_flight(sub, seq, head, e)
  M.unref(seq, head)
  S.count(sub, 'acked', 1)
end

local function nack(change)
  local requeue, delay = change[4], change[5]
  local wait = 'retry'
  if delay > 0 then wait = min(T.now + delay, NEVER) end
  return function(sub, seq, e, head)
    B.flush()
    if requeue then L.end_attempt(sub, seq, head, e, wait)
    else L.give_up(sub, seq, head, 'rejected') end
    B.flush()
  end
end

local function extend(change)
  local deadline = min(T.now + change[4], NEVER)
  return function(sub, seq, e)
    if not e[6] then return end
    B.flush()
    e[6] = deadline
    call('HSET', sub.k.e, seq, encode(unpack(e)))
    call('ZADD', N.t, deadline, sub.n .. ':' .. format('%.0f', seq))
    T.due_at(deadline)
  end
end

-- Deliveries of a subscription were named that weren't held.
local function count_late(number, count)
  local sub = T.by_number[number]
  if sub then S.count(sub, 'late', count) end
end

-- Does the same to many deliveries; how many were held, and how many not.
local function judge(holds, verdict)
  local done, late = 0, 0
  for i = 1, #holds, 3 do
    local sub, e, head = J.held(holds[i], holds[i + 1], holds[i + 2])
    if sub then
      verdict(sub, holds[i + 1], e, head)
      done = done + 1
    else
      late = late + 1
      count_late(holds[i], 1)
    end
  end
  return done, late
end

function J.batch(step)
  local changes = step[3]
  local refused = check(step[2], changes)
  if refused then return refused end
  local ids, published, acked, nacked, extended, skipped = {}, false, 0, 0, 0, 0
  for _, change in ipairs(changes) do
    local op, done, late = change[1], 0, 0
    if op == 'p' then
      if #T.subs > 0 or not change[2] then
        ids[#ids + 1], published = P.publish(change[3]), true
      else
        ids[#ids + 1] = 0
      end
    elseif op == 'a' then
      done, late = judge(change[3], ack)
      acked = acked + done
    elseif op == 'n' then
      done, late = judge(change[3], nack(change))
      nacked = nacked + done
    elseif op == 'l' then
      late = change[3]
      count_late(change[2], late)
    else
      done, late = judge(change[3], extend(change))
      extended = extended + done
    end
    skipped = skipped + late
  end
  return { 'batch', ids, published and T.o.durability or false, acked, nacked, extended, skipped }
end
