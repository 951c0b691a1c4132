"""Runs amqtt, which supports MQTT 3.1.1 only: python -m tests.support.old_broker PORT."""

import asyncio
import sys

from amqtt.broker import Broker


async def main() -> None:
    listener = {"type": "tcp", "bind": f"127.0.0.1:{sys.argv[1]}"}
    plugins = {"amqtt.plugins.authentication.AnonymousAuthPlugin": {"allow_anonymous": True}}
    await Broker({"listeners": {"default": listener}, "plugins": plugins}).start()
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main())
