-- C: consumers. Each that is attached to a subscription has an attachment, a number: `a` says whose it
-- is, `p:PROCESS` which ones a process has, `l` until when a process may be silent.

function C.attach(step)
  local consumer, name = step[2], step[3]
  local sub, created, released = T.by_name[name], false, 0
  if not sub then
    if not step[5] then return { 'no', 'no-sub' } end
    if T.is_full then return { 'no', 'oom' } end
    sub, released = A.make_subscription(name, step[4], NONE)
    created = true
  end
  local list = W.of(consumer)
  for i = 1, #list, 2 do
    if list[i] == sub.n then return { 'attached', sub.n, created, released } end
  end
  T.c.attachment = T.c.attachment + 1
  local own = N['p:' .. T.process]
  list[#list + 1] = sub.n
  list[#list + 1] = T.c.attachment
  call('HSET', own, consumer, encode(list))
  call('HINCRBY', own, 'n' .. sub.n, 1)
  call('HSET', N.a, T.c.attachment, encode({ sub.n, consumer, T.process }))
  call('ZADD', N.l, T.now + T.lease, T.process)
  T.due_at(T.now + T.lease)
  S.count(sub, 'consumers', 1)
  return { 'attached', sub.n, created, released }
end

-- Ends an attachment; how many deliveries that are. They return a portion at a time.
function C.end_attachment(process, number, attachment)
  local sub = T.by_number[number]
  call('HDEL', N.a, attachment)
  local own = N['p:' .. process]
  if call('HINCRBY', own, 'n' .. number, -1) <= 0 then
    call('HDEL', own, 'n' .. number)
    if sub then call('ZREM', sub.k.y, process) end
  end
  if not sub then return 0 end
  S.count(sub, 'consumers', -1)
  local held = S.held_by(sub, attachment)
  if held > 0 then C.give_back(sub, attachment, held) end
  return held
end

-- Returns what an attachment that has ended holds.
function C.give_back(sub, attachment, held)
  local seqs = S.holdings(sub, attachment, PORTION)
  for _, seq in ipairs(seqs) do
    local head = M.head(seq)
    L.end_attempt(sub, seq, head, S.entry(sub, seq, head))
  end
  if held > #seqs then
    if call('SADD', N.rest, sub.n .. ':' .. format('%.0f', attachment)) == 1 then T.c.rest = T.c.rest + 1 end
    T.c.due = 0
  end
end

local function end_consumer(process, consumer)
  local own = N['p:' .. process]
  local raw = call('HGET', own, consumer)
  if not raw then return 0 end
  call('HDEL', own, consumer)
  local list, returned = decode(raw), 0
  for i = 1, #list, 2 do
    returned = returned + C.end_attachment(process, list[i], list[i + 1])
  end
  return returned
end

function C.detach(step)
  return { 'detached', end_consumer(T.process, step[2]) }
end

-- What was settled at hand-over stays to be read until the process asks again.
function C.release(process)
  local raw = call('HGET', N.later, process)
  if not raw then return end
  send('HDEL', N.h, decode(raw))
  send('HDEL', N.m, decode(raw))
  call('HDEL', N.later, process)
end

-- All consumers of a process end.
function C.depart(process)
  C.release(process)
  local returned = 0
  for _, field in ipairs(call('HKEYS', N['p:' .. process])) do
    if string.sub(field, 1, 1) ~= 'n' then
      returned = returned + end_consumer(process, field)
    end
  end
  call('DEL', N['p:' .. process], N['f:' .. process])
  call('ZREM', N.l, process)
  return returned
end

-- The consumers of a subscription that is removed.
function C.end_all(sub)
  local all = call('HGETALL', N.a)
  for i = 1, #all, 2 do
    local owner = decode(all[i + 1])
    if owner[1] == sub.n then
      local own, kept = N['p:' .. owner[3]], {}
      local list = decode(call('HGET', own, owner[2]))
      for j = 1, #list, 2 do
        if list[j] ~= sub.n then
          kept[#kept + 1] = list[j]
          kept[#kept + 1] = list[j + 1]
        end
      end
      if #kept > 0 then call('HSET', own, owner[2], encode(kept)) else call('HDEL', own, owner[2]) end
      call('HDEL', own, 'n' .. sub.n)
      call('HDEL', N.a, all[i])
      S.count(sub, 'consumers', -1)
      W.tell(owner[3], { owner[2], sub.n })
    end
  end
end

function C.leave()
  return { 'detached', C.depart(T.process) }
end
