"""The generated rules, in a real mosquitto and a real NATS with client certificates."""

import re
import subprocess
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from ipaddress import ip_address
from pathlib import Path

import pytest
from click.testing import CliRunner
from cryptography import x509

from plateid.commands.main import main
from plateid.config.hub import DatabaseConfig, HubConfig, HubMqttConfig, NatsConfig
from plateid.config.load import load_hub_config
from plateid.config.outputs import MqttConfig
from plateid.errors import BrokerError
from plateid.hub.broker_rules import HUB
from plateid.hub.mqtt_source import GROUP
from plateid.hub.nats_source import STREAM, NatsSource
from plateid.outputs.mqtt_connection import MqttConnection, newest_protocol
from plateid.outputs.mqtt_credentials import tls_context
from plateid.outputs.self_pipe import SelfPipe
from tests.support.broker import free_ports, is_open, until
from tests.support.certificates import Authority, Certificate

Config = Callable[[str], MqttConfig]


def start(folder: Path, name: str, ports: list[int]) -> list[str]:
    """Adapts the file of the command to a test, and returns the command of the broker."""
    rest = f"user root\npersistence_location {folder}/\n"
    text = re.sub(r"(listener|port:) 8883", rf"\1 {ports[0]}", (folder / name).read_text())
    (folder / name).write_text(text + (rest if name == "mosquitto.conf" else ""))
    if name == "mosquitto.conf":
        return ["/usr/sbin/mosquitto", "-c", str(folder / name)]
    node = folder / "node.conf"
    rest = (
        f'server_name: n1\nlisten: 127.0.0.1:{ports[1]}\njetstream {{ store_dir: "{folder}/js" }}'
    )
    node.write_text(f"{rest}\ninclude plateid-rules.conf\n")
    return ["/usr/sbin/nats-server", "-c", str(node)]


@pytest.fixture
def ports() -> list[int]:
    """The ports of MQTT, and of clients of NATS."""
    return free_ports(2)


@pytest.fixture(params=["mosquitto", "nats"])
def ruled(tmp_path: Path, request: pytest.FixtureRequest, ports: list[int]) -> Iterator[Config]:
    """A broker with the rules of the devices gate and yard."""
    hub = tmp_path / "hub.toml"
    hub.write_text('folder = "ca"\n[database]\nurl = "postgresql://localhost/none"\n')
    hosts = ("--host", "broker.example", "--host", "127.0.0.1")
    words = ["-c", str(hub), "--out", str(tmp_path), *hosts, request.param]
    devices = ["gate", "yard"] if request.param == "nats" else []
    made = CliRunner().invoke(main, ["hub", "rules", *words, *devices])
    assert made.exit_code == 0, made.output
    assert (tmp_path / "broker.key").stat().st_mode & 0o077 == 0
    authority = Authority(tmp_path, "unused")
    authority.certificate = Certificate(tmp_path / "ca/ca.pem", tmp_path / "ca/ca.key")
    name = {"mosquitto": "mosquitto.conf", "nats": "plateid-rules.conf"}[request.param]
    command = start(tmp_path, name, ports)

    def config(name: str) -> MqttConfig:
        own = Certificate(tmp_path / "hub.crt", tmp_path / "hub.key")
        own = own if name == HUB else authority.issue(name)
        return MqttConfig(
            port=ports[0],
            tls=True,
            ca_file=tmp_path / "ca.crt",
            certificate_file=own.file,
            key_file=own.key,
        )

    with (
        (tmp_path / "log").open("wb") as log,
        subprocess.Popen(command, stdout=log, stderr=log) as broker,
    ):
        until(lambda: is_open(ports[0]))
        yield config
        broker.kill()


def test_device_writes_its_own_topics_only(ruled: Config) -> None:
    with closing(SelfPipe()) as pipe:
        clients = {}
        for name in (HUB, "gate"):
            config = ruled(name)
            protocol = newest_protocol(config, name, pipe)
            clients[name] = MqttConnection(config, name, pipe=pipe, protocol=protocol)
        hub, gate = clients[HUB], clients["gate"]
        hub.subscribe("plateid/#")
        gate.subscribe("plateid/gate/resend")
        until(lambda: not (hub.poll(0.1) or gate.poll(0.1)) and hub.subscribed and gate.subscribed)
        for topic in ("plateid/yard/c/event", "$MQTT/msgs/plateid/yard/c/event"):
            with suppress(BrokerError):  # NATS ends the connection
                intruder = MqttConnection(ruled("gate"), "other", pipe=pipe, protocol=protocol)
                intruder.publish(topic, "lie", qos=0, retain=False)
                intruder.poll(0.2)
            intruder.close()
        gate.publish("plateid/gate/c/event", "true", qos=0, retain=False)
        hub.publish("plateid/gate/resend", "again", qos=1, retain=False)
        received = dict[str, list[str]]()

        def has_both() -> bool:
            for name, client in clients.items():
                client.poll(0.05)
                received.setdefault(name, []).extend(m.topic for m in client.take_messages())
            return len(received[HUB]) > 1 and bool(received["gate"])

        until(has_both)
        assert set(received[HUB]) == {"plateid/gate/c/event", "plateid/gate/resend"}
        assert received["gate"] == ["plateid/gate/resend"]
        for client in clients.values():
            client.close()


@pytest.mark.parametrize("ruled", ["nats"], indirect=True)
def test_hub_takes_events_of_a_cluster_by_its_certificate(ruled: Config, ports: list[int]) -> None:
    hub, gate = ruled(HUB), ruled("gate")
    config = HubConfig(
        database=DatabaseConfig(url="postgresql://localhost/none"),
        mqtt=HubMqttConfig(**{key: getattr(hub, key) for key in hub.model_fields_set}),
        nats=NatsConfig(servers=(f"tls://127.0.0.1:{ports[1]}",)),
    )
    with closing(SelfPipe()) as pipe, closing(NatsSource(config, pipe, max_messages=9)) as source:
        client = MqttConnection(
            gate, "gate", pipe=pipe, protocol=newest_protocol(gate, "gate", pipe)
        )
        with closing(client):
            client.subscribe("plateid/gate/resend")
            client.publish("plateid/gate/c.d/event", "true", qos=1, retain=False)
            until(lambda: client.poll(0.1) and client.subscribed)
            consumers = source._run(source._client.jetstream().consumers_info(STREAM))
            assert [each.name for each in consumers] == [GROUP], "a device costs a consumer"
        until(
            lambda: (taken := source.take(9, 0.01)) and taken[0].topic == "plateid/gate/c.d/event"
        )
        source.acknowledge()


def test_client_without_a_certificate_is_refused(ruled: Config) -> None:
    config = ruled("gate").model_copy(update={"certificate_file": None, "key_file": None})
    with closing(SelfPipe()) as pipe, pytest.raises(BrokerError):
        newest_protocol(config, "stranger", pipe)


@pytest.mark.parametrize("host", ["a b", "a..b", "-x", "x-", ":::", "256.1.1.1", "a." * 127 + "aa"])
def test_host_that_is_no_name_is_refused(tmp_path: Path, host: str) -> None:
    words = ["hub", "rules", "mosquitto", "--out", str(tmp_path), "--host", host]
    done = CliRunner().invoke(main, words)
    assert (done.exit_code, f"no name or address of a host: {host}" in done.output) == (2, True)
    assert not list(tmp_path.iterdir())


def test_keys_are_kept_until_they_are_deleted(tmp_path: Path) -> None:
    """The hub reads its own where its configuration is."""
    config, out = tmp_path / "etc/hub.toml", tmp_path / "broker"
    out.mkdir()
    config.parent.mkdir()
    config.write_text(
        'folder = "ca"\n[database]\nurl = "postgresql://localhost/none"\n'
        '[mqtt]\ntls = true\nca_file = "ca.crt"\n'
        'certificate_file = "hub.crt"\nkey_file = "hub.key"\n'
    )
    mqtt = load_hub_config(config).mqtt
    words = ["hub", "rules", "nats", "-c", str(config), "--out", str(out)]

    def run(*hosts: str) -> str:
        done = CliRunner().invoke(
            main, [*words, *(each for host in hosts for each in ("--host", host))]
        )
        assert done.exit_code == 0, done.output
        return done.output

    run("b1.example", "::1")
    files = [mqtt.key_file, mqtt.certificate_file, out / "broker.key", out / "broker.crt"]
    before = [file.read_bytes() for file in files]
    assert tls_context(mqtt) is not None
    names = x509.load_pem_x509_certificate(before[3]).extensions
    names = names.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names == x509.SubjectAlternativeName(
        [x509.DNSName("b1.example"), x509.IPAddress(ip_address("::1"))]
    )
    assert f"{out / 'broker.key'} and its certificate are kept" in run("b2.example")
    assert [file.read_bytes() for file in files] == before
    mqtt.key_file.unlink()
    run("b1.example")
    after = [file.read_bytes() for file in files]
    assert [a == b for a, b in zip(after, before, strict=True)] == [False, False, True, True]
