"""A handler of rpcprocessor's wire, from its description: answers N calls with their params. Arguments: URL, N."""

import json
import sys

import redis

url, count = sys.argv[1], int(sys.argv[2])
server = redis.Redis.from_url(url, decode_responses=True)
for _ in range(count):
    _, call = server.brpop("H")
    request = json.loads(server.hget("rpcs.db", call))
    answer = json.dumps({"jsonrpc": "2.0", "result": request["params"], "id": request["id"]})
    server.hset("rpcs.db", request["id"] + "_response", answer)
    server.lpush(request["id"], answer)
print(f"{count} calls")
