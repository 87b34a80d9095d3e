#!/usr/bin/env python3
"""A worker: answers calls of `text.upper` and `text.count` until Ctrl-C or SIGTERM.

A worker is a JSON-RPC server at the other end of its own WebSocket: it registers its methods,
then Trunkline sends it requests and it answers them. Start as many as you like, on as many
machines as you like; they share the calls.
"""

import argparse
import asyncio
import json
import os
import signal
import sys

import websockets


def upper(text):
    return text.upper()


def count(text):
    return {"characters": len(text), "words": len(text.split())}


METHODS = {"text.upper": upper, "text.count": count}

REGISTRATION = {
    "handler": "text",
    # An idempotent method may run again on another worker if this one is lost in the middle.
    "methods": [{"name": name, "idempotent": True} for name in METHODS],
    "concurrency": 8,
}


def answer(call):
    """The JSON-RPC answer to one call. `params` are the arguments, by position or by name."""
    answered = {"jsonrpc": "2.0", "id": call["id"]}
    params = call.get("params", [])
    try:
        method = METHODS[call["method"]]
        result = method(**params) if isinstance(params, dict) else method(*params)
        return answered | {"result": result}
    except Exception as error:  # Whatever a method raises is for the caller, not the end of us.
        return answered | {"error": {"code": -32000, "message": f"{type(error).__name__}: {error}"}}


async def work(url):
    async with websockets.connect(url) as socket:
        # SIGTERM and Ctrl-C end the loop below, and so close the connection.
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, asyncio.current_task().cancel)

        await socket.send(json.dumps(
            {"jsonrpc": "2.0", "id": 1, "method": "rpc.worker.register", "params": REGISTRATION}))
        async for text in socket:
            message = json.loads(text)
            if "method" in message and "id" in message:
                await socket.send(json.dumps(answer(message)))
            elif message.get("id") == 1:
                if "error" in message:
                    sys.exit(f"not registered: {message['error']['message']}")
                print("ready:", ", ".join(METHODS), flush=True)
            # Anything else is a notification such as rpc.cancel; these methods are too quick for it.


def main():
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--url", default=os.environ.get("TRUNKLINE_URL", "ws://127.0.0.1:7400/rpc"))
    url = arguments.parse_args().url
    try:
        asyncio.run(work(url))
    except asyncio.CancelledError:
        pass
    except (OSError, websockets.WebSocketException) as error:
        sys.exit(f"{url}: {error}; is `trunkline serve` running?")


if __name__ == "__main__":
    main()
