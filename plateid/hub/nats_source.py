"""Takes messages of a NATS cluster by a durable consumer, and acknowledges what is stored."""

import asyncio
import secrets
import time
from collections.abc import Coroutine
from contextlib import closing, suppress
from typing import Any, TypeVar

from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import Error as NatsError
from nats.errors import TimeoutError as NatsTimeoutError
from nats.js.api import AckPolicy, ConsumerConfig
from nats.js.errors import NotFoundError

from plateid.config.hub import HubConfig
from plateid.errors import BrokerError, reason_of
from plateid.hub.messages import Message
from plateid.hub.mqtt_source import GROUP, KINDS
from plateid.outputs.mqtt_connection import newest_protocol
from plateid.outputs.mqtt_credentials import read_password, tls_context
from plateid.outputs.self_pipe import SelfPipe

STREAM, SUBJECTS = "$MQTT_msgs", "$MQTT.msgs."
"""Stream of all QoS 1 messages of MQTT clients, and what stands before their topics."""
ACK_WAIT_S = 60.0
"""Seconds after which NATS gives a message that is not acknowledged to a hub again."""
CONNECT_S = 5
"""Time-out of a connection to one server, and of an answer of JetStream, seconds."""
ANSWER_S = 15.0
"""Time in which one of the servers must answer, seconds: the client itself tries for ever."""
FETCH_S = 1.0
"""Longest wait for a first message, seconds."""
NO_WAIT_S = 0.02
"""Longest wait for more messages, seconds."""
T = TypeVar("T")


class NatsSource:
    """One client of the cluster, which changes to another node by itself.

    Its event loop runs only during the calls.
    """

    def __init__(self, config: HubConfig, pipe: SelfPipe, *, max_messages: int) -> None:
        """Connects and makes the consumer, as the first of all hubs; raises BrokerError."""
        self._config = config
        self._pipe = pipe
        self._max_messages = max_messages
        self._prefix = f"{SUBJECTS}{config.mqtt.prefix}."
        self._unacknowledged: list[Msg] = []
        self._health: list[Msg] = []
        self._loop = asyncio.new_event_loop()
        self._client = Client()
        try:
            self._run(self._connect())
            self._run(self._open())
        except BrokerError:
            self.close()
            raise

    def take(self, max_messages: int, batch_s: float) -> list[Message]:
        """Returns messages at the latest `batch_s` after the first, or none after a second."""
        batch = self._run(self._fetch(max_messages, batch_s))
        self._unacknowledged += batch
        reports, self._health = self._health, []
        return [_message(each) for each in (*batch, *reports)]

    def acknowledge(self) -> None:
        """Acknowledges all messages that `take` returned."""
        self._run(self._acknowledge())

    def wait(self, seconds: float) -> None:
        """Keeps the connection alive for a time, at most until `pipe` stops it."""
        until = time.monotonic() + seconds
        while (left_s := until - time.monotonic()) > 0 and not self._pipe.stopping:
            self._run(asyncio.sleep(min(left_s, FETCH_S)))

    def publish(self, topic: str, payload: str) -> None:
        """Sends a message at QoS 0."""
        self._run(self._client.publish(topic.replace("/", "."), payload.encode()))

    def close(self) -> None:
        """Closes the connection; the consumer stays."""
        with closing(self._loop), suppress(BrokerError):
            self._run(self._client.close())
            self._run(asyncio.sleep(0))  # lets its tasks end

    def _run(self, work: Coroutine[Any, Any, T]) -> T:
        try:
            return self._loop.run_until_complete(work)
        except (TimeoutError, NatsError, OSError) as error:
            raise BrokerError(", ".join(self._config.nats.servers), reason_of(error)) from error

    async def _connect(self) -> None:
        config, servers = self._config.mqtt, list(self._config.nats.servers)
        connecting = asyncio.ensure_future(
            self._client.connect(
                servers=servers,
                user=config.username,
                password=read_password(config),
                tls=tls_context(config) if servers[0].startswith("tls:") else None,
                name=GROUP,
                connect_timeout=CONNECT_S,
                max_reconnect_attempts=-1,
                reconnect_time_wait=1,
                error_cb=_ignore,
            )
        )
        since, waited_s = time.monotonic(), 0.0
        while not (connecting.done() or self._pipe.stopping) and waited_s < ANSWER_S:
            await asyncio.wait([connecting], timeout=FETCH_S)
            waited_s = time.monotonic() - since
        if connecting.cancel():
            reason = reason_of(self._client.last_error or TimeoutError("silence"))
            reason = f"no answer within {waited_s:.0f} s: {reason}"
            raise BrokerError(", ".join(servers), reason)
        await connecting

    async def _open(self) -> None:
        config = self._config.mqtt
        await self._client.subscribe(f"{config.prefix}.*.health", queue=GROUP, cb=self._keep_health)
        stream = self._client.jetstream(timeout=CONNECT_S)
        consumer = ConsumerConfig(
            durable_name=GROUP,
            ack_policy=AckPolicy.EXPLICIT,
            ack_wait=ACK_WAIT_S,
            max_ack_pending=20_000,
            filter_subjects=[f"{self._prefix}*.*.{kind}" for kind in KINDS],
        )
        try:
            await stream.add_consumer(STREAM, consumer)
        except NotFoundError:  # the first MQTT client makes the stream
            with closing(SelfPipe()) as pipe:
                newest_protocol(config, f"plateid-hub-{secrets.token_hex(4)}", pipe)
            await stream.add_consumer(STREAM, consumer)
        self._consumer = await stream.pull_subscribe_bind(consumer=GROUP, stream=STREAM)

    async def _fetch(self, max_messages: int, batch_s: float) -> list[Msg]:
        batch = await self._pull(max_messages, FETCH_S)
        if batch and len(batch) < max_messages:
            await asyncio.sleep(batch_s)
            batch += await self._pull(max_messages - len(batch), NO_WAIT_S)
        return batch

    async def _pull(self, count: int, timeout_s: float) -> list[Msg]:
        with suppress(TimeoutError, NatsTimeoutError):
            return await self._consumer.fetch(count, timeout_s)
        return []

    async def _acknowledge(self) -> None:
        for message in self._unacknowledged:
            await message.ack()
        self._unacknowledged.clear()
        await self._client.flush(CONNECT_S)

    async def _keep_health(self, message: Msg) -> None:
        if len(self._health) < self._max_messages:
            self._health.append(message)


def _message(message: Msg) -> Message:
    """Returns a message with its topic: NATS writes a dot as `//`, and an empty level as `/`."""
    parts = message.subject.removeprefix(SUBJECTS).split(".")
    levels = ("" if part == "/" else part.replace("//", ".") for part in parts)
    return Message("/".join(levels), message.data)


async def _ignore(_: Exception) -> None:
    """Ignores errors of a connection: the client goes to another node."""
