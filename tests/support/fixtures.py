"""Fixtures of several rooms: an event store, a real MQTT broker, a subscriber, an RTSP server."""

import socket
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from plateid.config.outputs import MqttConfig
from plateid.outputs.mqtt import MqttPublisher
from plateid.store.event_store import EventStore
from tests.support.broker import Broker, Subscriber
from tests.support.rtsp import RtspServer
from tests.support.samples import Publish, make_publisher

if TYPE_CHECKING:  # the trainer's environment lacks psycopg
    from plateid.config.hub import DatabaseConfig
    from tests.support.postgres import Postgres


@pytest.fixture
def store(tmp_path: Path) -> Iterator[EventStore]:
    with closing(EventStore(tmp_path / "events.sqlite3")) as opened:
        yield opened


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Broker]:
    """A mosquitto on a free port, not started."""
    with closing(Broker(tmp_path)) as made:
        yield made


@pytest.fixture
def started_broker(tmp_path: Path) -> Iterator[Broker]:
    """A mosquitto with a folder of its own, for tests that use `tmp_path` themselves."""
    (tmp_path / "broker").mkdir()
    with closing(Broker(tmp_path / "broker")) as made:
        made.start()
        yield made


@pytest.fixture
def subscriber(broker: Broker) -> Iterator[Subscriber]:
    """Starts the broker and subscribes to everything."""
    broker.start()
    with closing(Subscriber(broker.port)) as made:
        yield made


@pytest.fixture(scope="session")
def postgres() -> Iterator["Postgres"]:
    """A running PostgreSQL for all tests."""
    from tests.support.postgres import Postgres

    server = Postgres()
    with closing(server):
        server.start(fsync="off")
        yield server


@pytest.fixture(scope="session")
def hub_template(postgres: "Postgres") -> str:
    """The name of an empty database of the hub, which each test gets a copy of."""
    from plateid.hub.database import migrate

    config = postgres.create()
    migrate(config)
    return config.url.rpartition("/")[2]


@pytest.fixture
def database(postgres: "Postgres", hub_template: str) -> "DatabaseConfig":
    """An empty database of the hub."""
    return postgres.create(hub_template)


@pytest.fixture
def rtsp() -> Iterator[RtspServer]:
    """A running RTSP server."""
    server = RtspServer()
    server.start()
    yield server
    server.kill()


@pytest.fixture
def publish(store: EventStore) -> Iterator[Publish]:
    """Starts a publisher, and stops it after the test."""
    with ExitStack() as stack:

        def start(config: MqttConfig, **changes: Any) -> MqttPublisher:
            publisher = make_publisher(config, **{"store": store} | changes)
            publisher.start()
            stack.callback(publisher.stop, 0.5)
            return publisher

        yield start


@pytest.fixture
def silent() -> Iterator[MqttConfig]:
    """A server that accepts connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield MqttConfig(port=server.getsockname()[1])


@pytest.fixture
def login(tmp_path: Path, broker: Broker) -> MqttConfig:
    """Credentials of the user `plateid`, whom the broker does not know yet."""
    path = tmp_path / "password"
    path.write_text("right\n")
    return broker.config.model_copy(update={"username": "plateid", "password_file": path})
