-- A request: { process, number, is attached, lease, steps, where processes are woken, the time in tests }.
-- The answer is a reply in MessagePack, then the bodies that it tells of.

-- How long an answer is kept, in milliseconds.
local KEPT = '600000'

-- Where a step is done.
local STEPS = {
  batch = J, take = H, attach = C, detach = C, leave = C, define = A, alter = A, ['alter-sub'] = A,
  delete = A, subscribe = A, unsubscribe = A, purge = A, remove = A, inspect = V, peek = V, outbox = L,
  settle = L, inter = P, restore = P,
}

-- While the slot of a topic moves to another node of a cluster, some of its keys are here and some are there. Either node
-- refuses to be asked for keys that it doesn't have, so keys that never are tell it. Nothing is done until the slot has moved.
local moves = redis.pcall('EXISTS', BASE .. 'never', BASE .. 'nowhere')
if type(moves) == 'table' and moves.err then
  for _, reason in ipairs({ 'non local', 'TRYAGAIN', 'ASK' }) do
    if string.find(moves.err, reason, 1, true) then
      return redis.error_reply('TRYAGAIN the slot of this topic moves to another node')
    end
  end
  return moves
end

local request = decode(ARGV[1])
T.process, T.attached, T.lease, T.wake = request[1], request[3], request[4], request[6]
local number, steps = request[2], request[5]
local memory = N['z:' .. T.process]

local function answer(reply, bodies)
  local all = { reply }
  for i = 1, #bodies do all[i + 1] = bodies[i] end
  return all
end

local function time()
  local clock = call('TIME')
  T.now = request[7] or tonumber(clock[1]) * 1000000 + tonumber(clock[2])
end

-- What is remembered of the last request: { number, whether bodies wait to go, the reply, whose bodies were
-- told }; nil if nothing is.
local function remembered()
  local raw = number > 0 and call('GET', memory)
  return raw and { decode(raw) }
end

-- The same request once more: answered as before.
local function again(kept)
  if not kept then return nil end
  if kept[1] > number then return { encode({ 'stale' }) } end
  if kept[1] == number then
    -- A write, so that WAIT has something to wait for, on whichever connection this came.
    call('PEXPIRE', memory, KEPT)
    return answer(kept[3], fields(N.m, kept[4]))
  end
end

-- Redis refuses the first write of a script that needs memory if there is none, and what is written
-- after one that needs none isn't refused. So nothing is ever half done: what needs memory is refused
-- here, and what frees it goes on.
local function open()
  local tried = redis.pcall('HSET', N.c, 'now', T.now)
  if type(tried) == 'table' and tried.err then
    if not string.find(tried.err, 'OOM', 1, true) then return tried end
    T.is_full = true
    call('HDEL', N.c, '')
  end
end

local function run()
  if not T.load() then
    if #steps == 0 or steps[1][1] ~= 'define' or steps[1][2] == 0 then
      return again(remembered()) or { encode({ 'missing' }) }
    end
    T.is_new = true
  elseif T.format ~= FORMAT then
    return { encode({ 'format', T.format }) }
  end
  local before = remembered()
  local known = again(before)
  if known then return known end
  time()
  if T.is_new then T.read_counters() end
  T.now = max(T.now, T.c.now)
  if number > 0 then
    local failed = open()
    if failed then return failed end
  end
  T.c.now, T.was.now = T.now, T.now
  -- What was answered before has arrived, so that its bodies may go.
  if before and before[2] then C.release(T.process) end
  local lease_lost = false
  if number > 0 and not T.is_new then
    if T.attached then
      local lease = tonumber(call('ZSCORE', N.l, T.process))
      if lease and lease < T.now then
        C.depart(T.process)
        lease = nil
      end
      lease_lost = not lease
      if lease then
        call('ZADD', N.l, T.now + T.lease, T.process)
        T.due_at(T.now + T.lease)
      end
    end
    if T.now > T.c.due or T.is_filling then D.run() end
  end
  local results, is_read = {}, false
  for i, step in ipairs(steps) do
    if step[1] == 'batch' and not is_read and T.number then
      J.read_ahead(steps)
      is_read = true
    end
    local is_looking = step[1] == 'inspect' or step[1] == 'peek'
    -- A batch knows what it must wait for.
    if step[1] ~= 'batch' then B.flush() end
    if T.is_gone or (not T.number and step[1] ~= 'define') then
      results[i] = { 'no', 'no-topic' }
    elseif number == 0 and not is_looking and step[1] ~= 'define' then
      return redis.error_reply('ERR a request without a number only looks')
    else
      results[i] = STEPS[step[1]][step[1]](step)
    end
  end
  local forgotten, ended, outbox = {}, {}, false
  if number > 0 and not T.is_gone then
    T.settle()
    if T.noted then P.tidy() end
    if T.attached then forgotten, ended = W.inbox() end
    if next(T.stirred) or next(T.roused) then W.wake_all() end
    outbox = T.c.letters > 0 and T.c.carried <= T.now
    T.save()
  end
  local due = T.c.due < NEVER and max(T.c.due + 1, T.now)
  if T.is_gone then due = false end
  local reply = encode({ 'reply', T.now, T.number or 0, due, lease_lost, outbox, forgotten, ended, results })
  -- Of a request that did nothing and told nothing there is nothing to remember.
  if number > 0 and (#steps > 0 or #forgotten > 0 or #ended > 0) then
    if #T.later > 0 and not T.is_gone then call('HSET', N.later, T.process, encode(T.later)) end
    call('SET', memory, encode(number, #T.later > 0, reply, T.wanted), 'PX', KEPT)
  end
  return answer(reply, T.bodies)
end

return run()
