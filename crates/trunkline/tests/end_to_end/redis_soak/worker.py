"""A worker of the consumer-groups wire, from its description, that runs until it is killed: `echo` returns its
arguments. Each call is noted in a file when it is run. Arguments: URL, name of the consumer, the file."""

import json
import sys
import time

import redis

url, consumer, runs = sys.argv[1:]
server = redis.Redis.from_url(url, decode_responses=True)
try:
    server.xgroup_create("general", "processors", id="0", mkstream=True)
except redis.ResponseError as error:
    if not str(error).startswith("BUSYGROUP"):
        raise
print("ready", file=sys.stderr, flush=True)
while True:
    streams = server.xreadgroup("processors", consumer, {"general": ">"}, count=1, block=2500)
    for _, entries in streams or []:
        for entry, fields in entries:
            if float(fields["deadline"]) > time.time():
                args = json.loads(fields["args"])
                with open(runs, "a") as file:
                    file.write(json.dumps(args) + "\n")
                reply = {"message_id": fields["message_id"], "response": {"result": args}}
                server.publish(fields["who"], json.dumps(reply))
            server.xack("general", "processors", entry)
