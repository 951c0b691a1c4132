"""The demo: all of plateid on the shipped video, with an MQTT broker inside the process."""

import asyncio
import logging
import socket
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion

from plateid.app import App
from plateid.config.cameras import CameraConfig
from plateid.config.outputs import ListsConfig, MqttConfig
from plateid.config.root import Config
from plateid.config.service import WebConfig
from plateid.config.storage import StoreConfig
from plateid.errors import BrokerError, needs_extra
from plateid.first_run import next_free_port
from plateid.service.supervisor import Supervisor

DEMO_VIDEO = Path(__file__).parent / "demo.mp4"
"""The shipped video; demo.json beside it has the plates and boxes of its vehicles."""
LINE = ((0.02, 0.6), (0.98, 0.6))
"""The line of the tour: vehicles that come nearer go in, the others out."""
KNOWN = """plate,list,name
KX73LPH,allow,Ana
RXL4K93,watch,parcel service
MXR3497,deny,banned until May
"""
"""The list of the tour: plates of the video."""
HOST = "127.0.0.1"
WAIT_S = 10.0
"""Maximum time until the broker starts, stops or accepts a subscription, seconds."""


def run_demo(
    supervisor: Supervisor,
    *,
    loop: bool,
    tour: bool,
    on_event: Callable[[str], object],
    on_start: Callable[[str], object],
) -> None:
    """Plays the video and calls `on_event` with the JSON of each event that a subscriber gets.

    A `tour` has known plates and a line that tells in from out. Calls `on_event` from another
    thread, and `on_start` first, with the address of the web UI. Raises BrokerError if the broker
    does not start, or if `amqtt` is not installed.
    """
    with tempfile.TemporaryDirectory(prefix="plateid-demo-") as folder, _broker() as port:
        lists = Path(folder) / "plates.csv"
        lists.write_text(KNOWN)
        line = LINE if tour else None
        config = Config(
            device="demo",
            camera=(CameraConfig(name="street", url=str(DEMO_VIDEO), loop=loop, line=line),),
            mqtt=MqttConfig(host=HOST, port=port),
            store=StoreConfig(path=Path(folder) / "events.sqlite3"),
            lists=ListsConfig(file=lists if tour else None),
            web=WebConfig(enabled=True, port=next_free_port(HOST, WebConfig().port)),
        )
        app = App(config, supervisor)
        on_start(f"http://{HOST}:{config.web.port}")
        with _event_subscriber(port, f"{config.mqtt.prefix}/{config.device}", on_event):
            app.run()


@contextmanager
def _broker() -> Iterator[int]:
    try:
        from amqtt.broker import Broker  # noqa: PLC0415 - an extra
        from amqtt.errors import AMQTTError  # noqa: PLC0415
        from amqtt.errors import BrokerError as AmqttBrokerError  # noqa: PLC0415
    except ImportError as error:
        raise BrokerError("demo", needs_extra("demo")) from error
    logging.getLogger("amqtt").setLevel(logging.CRITICAL)  # it warns about our MQTT 5
    logging.getLogger("transitions").setLevel(logging.ERROR)
    port = free_port()
    settings = {
        "listeners": {"default": {"type": "tcp", "bind": f"{HOST}:{port}"}},
        "plugins": {"amqtt.plugins.authentication.AnonymousAuthPlugin": {"allow_anonymous": True}},
    }
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="broker", daemon=True)
    thread.start()

    async def start() -> Broker:
        broker = Broker(settings)
        await broker.start()
        return broker

    try:
        broker = asyncio.run_coroutine_threadsafe(start(), loop).result(WAIT_S)
        yield port
        asyncio.run_coroutine_threadsafe(broker.shutdown(), loop).result(WAIT_S)
    except (AMQTTError, AmqttBrokerError, TimeoutError) as error:
        raise BrokerError(f"{HOST}:{port}", f"the demo's broker failed: {error}") from error
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join(WAIT_S)
        loop.close()


def free_port() -> int:
    """Returns a free TCP port on this device."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def _event_subscriber(port: int, root: str, on_event: Callable[[str], object]) -> Iterator[None]:
    """Receives events in a thread, as any subscriber does, until the device is offline."""
    subscribed, offline = threading.Event(), threading.Event()
    client = mqtt.Client(CallbackAPIVersion.VERSION2)

    def take(_client: object, _data: object, message: mqtt.MQTTMessage) -> None:
        if message.topic.endswith("/event"):
            on_event(message.payload.decode())
        elif message.payload == b"offline" and not message.retain:
            offline.set()

    def on_connect(*_: object) -> None:
        client.subscribe([(f"{root}/+/event", 1), (f"{root}/status", 1)])

    client.on_connect = on_connect
    client.on_subscribe = lambda *_: subscribed.set()
    client.on_message = take
    client.connect(HOST, port)
    client.loop_start()
    try:
        if not subscribed.wait(WAIT_S):
            raise BrokerError(f"{HOST}:{port}", "the broker accepts no subscription")
        yield
        offline.wait(WAIT_S)
    finally:
        client.disconnect()
        client.loop_stop()
