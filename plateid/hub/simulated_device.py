"""A simulated device: publishes events, sends them again, and answers requests to resend."""

import json
import random
import selectors
import time
from collections import deque
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

from plateid.config.outputs import Broker
from plateid.core.records import Candidate, ModelNames, PathPoint, PlateEvent, Region
from plateid.hub.messages import hashed_id
from plateid.store.sequence import COUNTERS

WINDOW = 20
"""Maximum number of events of a device without PUBACK, as `outputs.mqtt_connection.WINDOW`."""
STALLED_S = 30.0
"""Time without an awaited answer after which a device connects anew, seconds."""
DIGITS, LETTERS = "0123456789", "ABCDEFGHJKLMNPRSTUVWXYZ"
BOX = (562.1, 413.6, 649.1, 436.2)
PATH = tuple(PathPoint(n / 4, (BOX[0] + n, BOX[1], BOX[2] + n, BOX[3])) for n in range(25))


def simulated_event(device: str, epoch: int, counter: int, first_seen: datetime) -> PlateEvent:
    """Returns an event; the same arguments give the same one."""
    rng = random.Random(f"{device} {epoch} {counter}")  # noqa: S311 nothing secret
    plate = "".join(rng.choice(DIGITS if n in (2, 3) else LETTERS) for n in range(7))
    confidence = round(rng.uniform(0.7, 1), 4)
    id_ = hashed_id(first_seen, f"{device} {epoch} {counter}")
    return PlateEvent(
        event_type="plate_left",
        id=id_,
        pass_id=id_,
        device=device,
        camera="gate",
        seq=epoch * COUNTERS + counter,
        plate=plate,
        plate_raw=plate,
        plate_display=plate,
        confidence=confidence,
        char_confidences=(confidence,) * len(plate),
        candidates=(Candidate(plate, confidence),),
        reads=9,
        agreeing_reads=8,
        region=Region("gb", 0.9),
        first_seen=first_seen,
        last_seen=first_seen + timedelta(seconds=4),
        box=BOX,
        path=PATH,
        dwell_s=4.0,
        model=ModelNames("simulated", "simulated", "simulated"),
    )


class SimulatedDevice:
    """One device with a connection of its own; all methods are called by one thread."""

    def __init__(
        self, name: str, epoch: int, *, prefix: str, selector: selectors.BaseSelector
    ) -> None:
        """Registers its sockets with the selector, with itself as their data."""
        self.name = name
        self._selector = selector
        self.published: dict[int, datetime] = {}
        self.acknowledged: set[int] = set()
        self.client: mqtt.Client | None = None
        self.retry_at = 0.0
        self._epoch = epoch
        self._prefix = f"{prefix}/{name}"
        self._outbox = deque[int]()
        self._sent: dict[int, int] = {}
        self._maybe_sent: set[int] = set()
        self._answered_at = 0.0
        self._established = False

    @property
    def waits(self) -> bool:
        """Whether events wait for a PUBACK."""
        return bool(self._outbox or self._sent)

    def add(self) -> None:
        """Makes the next event due."""
        counter = len(self.published) + 1
        now = datetime.now(UTC) - timedelta(seconds=4)
        self.published[counter] = now.replace(microsecond=now.microsecond // 1000 * 1000)
        self._outbox.append(counter)
        self.send()

    def send(self) -> None:
        """Sends events as far as the window allows."""
        while self.client is not None and self._established and self._outbox:
            if len(self._sent) >= WINDOW:
                return
            counter = self._outbox.popleft()
            event = simulated_event(self.name, self._epoch, counter, self.published[counter])
            event = replace(event, sent_at=datetime.now(UTC), replayed=counter in self._maybe_sent)
            self._maybe_sent.add(counter)
            topic = f"{self._prefix}/gate/event"
            self._sent[self.client.publish(topic, event.to_json(), qos=1).mid] = counter

    def report(self) -> None:
        """Publishes the number of the last event, as the health report does."""
        if self.client is not None and self._established:
            last = self._epoch * COUNTERS + len(self.published)
            self.client.publish(f"{self._prefix}/health", json.dumps({"last_seq": last}))

    def connect(self, broker: Broker, protocol: MQTTProtocolVersion) -> None:
        """Connects anew; raises OSError."""
        client = mqtt.Client(
            CallbackAPIVersion.VERSION2, self.name, protocol=protocol, reconnect_on_failure=False
        )
        client.max_inflight_messages = 0
        client.on_connect = self._on_connect
        client.on_publish = self._on_publish
        client.on_message = self._on_message
        client.on_socket_open = lambda _, __, sock: self._watch(sock.fileno())
        client.on_socket_close = lambda _, __, sock: self._forget(sock.fileno())
        client.on_socket_register_write = lambda *_: None
        client.connect(broker.host, broker.port)
        self.client, self._answered_at = client, time.monotonic()

    def check(self) -> bool:
        """Keeps the connection alive; returns whether there is one."""
        stalled = bool(self._sent) or not self._established
        if self.client is None:
            return False
        if stalled and time.monotonic() > self._answered_at + STALLED_S:
            return False
        return self.client.loop_misc() == mqtt.MQTT_ERR_SUCCESS and self.client.is_connected()

    def close(self) -> None:
        """Forgets the connection; events without PUBACK are sent again, oldest first."""
        if self.client is not None and (sock := self.client.socket()) is not None:
            self.client.on_socket_close = None  # paho calls it again when it collects the client
            self._forget(sock.fileno())
            sock.close()
        self.client, self._established = None, False
        self._outbox.extendleft(sorted(self._sent.values(), reverse=True))
        self._sent.clear()

    def _watch(self, fileno: int) -> None:
        self._selector.register(fileno, selectors.EVENT_READ, self)

    def _forget(self, fileno: int) -> None:
        self._selector.unregister(fileno)

    def _on_connect(self, client: mqtt.Client, *details: object) -> None:
        self._established = not getattr(details[2], "is_failure", True)
        client.subscribe(f"{self._prefix}/resend", qos=1)

    def _on_publish(self, _: object, __: object, message: int, *___: object) -> None:
        if (counter := self._sent.pop(message, None)) is not None:
            self.acknowledged.add(counter)
            self._answered_at = time.monotonic()

    def _on_message(self, _: object, __: object, message: mqtt.MQTTMessage) -> None:
        """Sends events again that the hub asks for."""
        busy = {*self._outbox, *self._sent.values()}
        for first, last in json.loads(message.payload)["ranges"]:
            wanted = range(first % COUNTERS, last % COUNTERS + 1)
            self._outbox += [n for n in wanted if n in self.published and n not in busy]
