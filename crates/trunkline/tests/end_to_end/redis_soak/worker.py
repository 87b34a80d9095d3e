"""A worker of either wire, from their descriptions, that runs until it is killed, also while Redis is away: it returns
its arguments. Each call is noted in a file when it is run. Arguments: name of the wire, URL, the file."""

import json
import sys
import time

import redis

wire, url, runs = sys.argv[1:]
server = redis.Redis.from_url(url, decode_responses=True)


def note(args):
    with open(runs, "a") as file:
        file.write(json.dumps(args) + "\n")


def streams():
    for _, entries in server.xreadgroup("processors", "python-0", {"general": ">"}, count=1, block=2500) or []:
        for entry, fields in entries:
            if float(fields["deadline"]) > time.time():
                args = json.loads(fields["args"])
                note(args)
                reply = {"message_id": fields["message_id"], "response": {"result": args}}
                server.publish(fields["who"], json.dumps(reply))
            server.xack("general", "processors", entry)


def lists():
    _, call = server.brpop("H", 2) or (None, None)
    stored = server.hget("rpcs.db", call) if call else None
    if stored is None:
        return
    request = json.loads(stored)
    note(request["params"])
    answer = json.dumps({"jsonrpc": "2.0", "result": request["params"], "id": request["id"]})
    server.hset("rpcs.db", request["id"] + "_response", answer)
    server.lpush(request["id"], answer)


if wire == "consumer-groups":
    try:
        server.xgroup_create("general", "processors", id="0", mkstream=True)
    except redis.ResponseError as error:
        if not str(error).startswith("BUSYGROUP"):
            raise
print("ready", file=sys.stderr, flush=True)
while True:
    try:
        streams() if wire == "consumer-groups" else lists()
    except (redis.ConnectionError, redis.TimeoutError, redis.BusyLoadingError):
        time.sleep(0.02)
