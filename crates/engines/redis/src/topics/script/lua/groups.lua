-- G: groups. Of a group one consumer at most holds deliveries, and what is delayed or was delivered
-- before blocks what is behind it. All that waits of a group is in `g`, by place; its first stands in
-- `w` if anybody may take it, in `own` if only one may, and else nowhere. What doesn't stand in `w` is
-- in `b`. In `gb` is what blocks. A line in `gl` says who holds how many, and how the first stands.

function G.id(group)
  return format('%04x', #group) .. group
end

function G.member(group, place, seq)
  return G.id(group) .. format('%016.0f', place) .. format('%.0f', seq)
end

function G.owned(attachment, place, seq)
  return format('%012.0f%016.0f%.0f', attachment, place, seq)
end

-- The place and sequence at the end of a member of a set whose members begin with so many bytes.
function G.place(member, skipped)
  return tonumber(string.sub(member, skipped + 1, skipped + 16)), tonumber(string.sub(member, skipped + 17))
end

-- { attachment that holds, how many, and of the first: sequence, place, attachment that may take it }
function G.line(sub, group)
  local line = sub.lines[group]
  if not line then
    local raw = call('HGET', sub.k.gl, group)
    line = raw and decode(raw) or { 0, 0, 0, 0, 0 }
    sub.lines[group] = line
  end
  sub.dirty[group] = true
  T.is_dirty = true
  return line
end

function G.wait(sub, group, place, seq)
  B.put('ZADD', sub.k.g, 0, G.member(group, place, seq))
  B.put('ZADD', sub.k.b, place, seq)
  G.line(sub, group)
end

-- What waited is gone. The caller has taken it out of `w` or `b`.
function G.unwait(sub, group, place, seq)
  call('ZREM', sub.k.g, G.member(group, place, seq))
  G.line(sub, group)
end

function G.block(sub, group, place, seq)
  B.put('ZADD', sub.k.gb, 0, G.member(group, place, seq))
  G.line(sub, group)
end

function G.unblock(sub, group, place, seq)
  B.put('ZREM', sub.k.gb, G.member(group, place, seq))
  G.line(sub, group)
end

-- A delivery began; `e` is its entry.
function G.fly(sub, group, e, seq)
  local line = G.line(sub, group)
  line[1], line[2] = e[4], line[2] + 1
  if e[2] > 1 then G.block(sub, group, e[1], seq) end
end

-- A delivery ended.
function G.land(sub, group, e, seq)
  local line = G.line(sub, group)
  line[2] = max(line[2] - 1, 0)
  if e[2] > 1 then G.unblock(sub, group, e[1], seq) end
end

local function first(key, id)
  local found = call('ZRANGEBYLEX', key, '[' .. id, '(' .. id .. ':', 'LIMIT', 0, 1)[1]
  if found then return G.place(found, #id) end
end

function G.relist(sub, group)
  local line, id = G.line(sub, group), G.id(group)
  local place, seq = first(sub.k.g, id)
  local block = first(sub.k.gb, id)
  local is_over = not place and not block and line[2] == 0
  local owner = 0
  if not place or (block and block < place) then
    place, seq = 0, 0
  elseif line[2] > 0 then
    owner = line[1]
  end
  if line[3] ~= seq or line[4] ~= place or line[5] ~= owner then
    if line[3] ~= 0 and line[5] ~= 0 then
      call('ZREM', sub.k.own, G.owned(line[5], line[4], line[3]))
    elseif line[3] ~= 0 and call('ZREM', sub.k.w, line[3]) == 1 then
      call('ZADD', sub.k.b, line[4], line[3])
    end
    if seq ~= 0 and owner ~= 0 then
      call('ZADD', sub.k.own, 0, G.owned(owner, place, seq))
      T.roused[owner] = sub
    elseif seq ~= 0 then
      call('ZREM', sub.k.b, seq)
      call('ZADD', sub.k.w, place, seq)
      T.stir(sub)
    end
    line[3], line[4], line[5] = seq, place, owner
  end
  if is_over then
    call('HDEL', sub.k.gl, group)
    sub.lines[group] = nil
  else
    call('HSET', sub.k.gl, group, encode(line))
  end
end

function G.settle()
  T.is_dirty = false
  for _, sub in ipairs(T.all()) do
    local dirty = sub.dirty
    sub.dirty = {}
    for group in pairs(dirty) do G.relist(sub, group) end
    sub.dirty = {}
  end
  T.is_dirty = false
end
