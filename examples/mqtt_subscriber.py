"""Prints each plate event once: python mqtt_subscriber.py BROKER [DEVICE]."""

import json
import sys
from collections import OrderedDict

from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion

KNOWN_IDS = 10_000
"""Events remembered to drop duplicates; far more than can be in flight."""


def main(broker: str, device: str = "+") -> None:
    """Subscribes to the events of one device, or of all, until the program is stopped."""
    host, _, port = broker.partition(":")
    seen: OrderedDict[str, None] = OrderedDict()

    def on_connect(client: Client, *_: object) -> None:
        client.subscribe(f"plateid/{device}/+/event", qos=1)

    def on_subscribe(*_: object) -> None:
        print("subscribed", flush=True)

    def on_message(_client: Client, _data: object, message: MQTTMessage) -> None:
        event = json.loads(message.payload)
        if event["id"] in seen:  # delivery is at least once
            return
        seen[event["id"]] = None
        if len(seen) > KNOWN_IDS:
            seen.popitem(last=False)
        listed = event["list"]["name"] if event["list"] else "unlisted"
        print(event["event_type"], event["camera"], event["plate"], listed, flush=True)

    # A fixed client id and a persistent session: the broker keeps events while we are away.
    client = Client(CallbackAPIVersion.VERSION2, client_id="plate-printer", clean_session=False)
    client.on_connect = on_connect
    client.on_subscribe = on_subscribe
    client.on_message = on_message
    client.connect(host, int(port or 1883))
    client.loop_forever(retry_first_connection=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
