#!/usr/bin/env python3
"""A client: calls the methods of worker.py, publishes and consumes, and listens to a channel."""

import argparse
import asyncio
import collections
import itertools
import json
import os
import sys

import websockets


class CallFailed(Exception):
    """The error object of an answer."""

    def __init__(self, error):
        super().__init__(f"{error['message']} ({error['code']})")
        self.code = error["code"]


class Trunkline:
    """One connection: many requests may be in flight, and pushes come between the answers."""

    def __init__(self, socket):
        self._socket = socket
        self._ids = itertools.count(1)
        self._answers = {}
        self._pushes = collections.defaultdict(asyncio.Queue)
        self._reader = asyncio.create_task(self._read())

    async def call(self, method, params=None):
        """Sends a request and returns the result of its answer."""
        request = {"jsonrpc": "2.0", "id": next(self._ids), "method": method}
        if params is not None:
            request["params"] = params
        answer = self._answers[request["id"]] = asyncio.get_running_loop().create_future()
        await self._socket.send(json.dumps(request))
        return await answer

    async def push(self, method):
        """The params of the next push of this kind."""
        push = asyncio.ensure_future(self._pushes[method].get())
        await asyncio.wait({push, self._reader}, return_when=asyncio.FIRST_COMPLETED)
        if not push.done():
            push.cancel()
            raise ConnectionError("the connection was lost")
        return push.result()

    async def _read(self):
        try:
            async for text in self._socket:
                self._take(json.loads(text))
        except websockets.ConnectionClosedError:
            pass
        for answer in self._answers.values():
            answer.set_exception(ConnectionError("the connection was lost"))

    def _take(self, message):
        if "method" in message:
            self._pushes[message["method"]].put_nowait(message["params"])
        elif answer := self._answers.pop(message["id"], None):
            if "error" in message:
                answer.set_exception(CallFailed(message["error"]))
            else:
                answer.set_result(message["result"])


async def calls(trunkline):
    """Calls are answered by whatever worker offers the method."""
    print("text.upper:", await trunkline.call("text.upper", ["hello"]))
    # Several at once: the answers come as they are ready.
    lines = ["one", "one two", "one two three"]
    counts = await asyncio.gather(*(trunkline.call("text.count", {"text": line}) for line in lines))
    print("text.count:", [count["words"] for count in counts])
    try:
        await trunkline.call("text.count", [12])
    except CallFailed as error:
        print("a failing call:", error)


async def topic(trunkline):
    """A message of a topic is on the disk when it is confirmed, and stays until it is acked."""
    consumer = (await trunkline.call(
        "rpc.topic.consume",
        {"topic": "example.orders", "subscription": "billing", "credit": 10}))["consumer"]
    for number in (1, 2, 3):
        published = await trunkline.call(
            "rpc.topic.publish",
            {"topic": "example.orders", "messages": [{"payload": {"order": number}}]})
        last = published["ids"][0]

    # What an earlier run left behind comes first, so read up to our own last message.
    done = False
    while not done:
        deliveries = (await trunkline.push("rpc.topic.deliver"))["deliveries"]
        for delivery in deliveries:
            print("order:", delivery["payload"]["order"])
            done = done or delivery["id"] == last
        # Acked after the work is done: had we crashed before, they would come again.
        await trunkline.call(
            "rpc.topic.ack", {"consumer": consumer, "tags": [delivery["tag"] for delivery in deliveries]})
    await trunkline.call("rpc.topic.cancel", {"consumer": consumer})


async def channel(trunkline):
    """A channel reaches whoever listens at that moment, by name or by pattern."""
    await trunkline.call("rpc.channel.subscribe", {"patterns": ["example.news.*"]})
    sent = await trunkline.call(
        "rpc.channel.publish", {"channel": "example.news.today", "payload": "it works"})
    message = await trunkline.push("rpc.channel.message")
    print(f"{message['channel']}: {message['payload']} ({sent['receivers']} listening)")


async def run(url):
    async with websockets.connect(url) as socket:
        trunkline = Trunkline(socket)
        await calls(trunkline)
        await topic(trunkline)
        await channel(trunkline)


def main():
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--url", default=os.environ.get("TRUNKLINE_URL", "ws://127.0.0.1:7400/rpc"))
    url = arguments.parse_args().url
    try:
        asyncio.run(run(url))
    except CallFailed as error:
        sys.exit(f"failed: {error}")
    except (OSError, websockets.WebSocketException) as error:
        sys.exit(f"{url}: {error}; is `trunkline serve` running?")


if __name__ == "__main__":
    main()
