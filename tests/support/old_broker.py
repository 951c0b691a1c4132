"""Runs amqtt, which supports MQTT 3.1.1 only: python -m tests.support.old_broker PORT [REFUSED].

It refuses the first REFUSED subscriptions, as a NATS node does after another node died.
"""

import asyncio
import sys
from typing import Any

from amqtt.broker import Broker


class RefusingBroker(Broker):
    refused = int(sys.argv[2]) if sys.argv[2:] else 0

    async def add_subscription(self, *values: Any) -> int:
        if self.refused:
            self.refused -= 1
            return 0x80
        return await super().add_subscription(*values)


async def main() -> None:
    listener = {"type": "tcp", "bind": f"127.0.0.1:{sys.argv[1]}"}
    plugins = {"amqtt.plugins.authentication.AnonymousAuthPlugin": {"allow_anonymous": True}}
    await RefusingBroker({"listeners": {"default": listener}, "plugins": plugins}).start()
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main())
