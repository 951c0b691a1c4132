"""TLS against a real mosquitto: who is believed, who is not, and one clear line for each."""

import signal
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from plateid.config.outputs import MqttConfig
from plateid.errors import BrokerError
from plateid.outputs.mqtt import check_broker
from plateid.store.event_store import EventStore
from tests.support.broker import Broker, Subscriber, until
from tests.support.certificates import PAST, Authority, Certificate
from tests.support.samples import Logs, Publish, append, outbox, said

HOST = "127.0.0.1"


@dataclass
class Secure:
    """A mosquitto that speaks TLS on one port and, for the subscriber, plain MQTT on another."""

    broker: Broker
    authority: Authority

    def start(self, certificate: Certificate, options: str = "") -> None:
        self.broker.tls = (
            f"cafile {self.authority.certificate.file}\ncertfile {certificate.file}\n"
            f"keyfile {certificate.key}\n{options}\n"
        )
        self.broker.start()

    def config(self, **changes: Any) -> MqttConfig:
        known: dict[str, Any] = {"tls": True, "ca_file": self.authority.certificate.file}
        return MqttConfig(host=HOST, port=self.broker.tls_port, **known | changes)


@pytest.fixture
def secure(tmp_path: Path, broker: Broker) -> Iterator[Secure]:
    return Secure(broker, Authority(tmp_path))


def failure(config: MqttConfig) -> str:
    with pytest.raises(BrokerError) as caught:
        check_broker(config)
    return str(caught.value)


def test_events_arrive_and_messages_come_in_over_tls(
    secure: Secure, store: EventStore, publish: Publish
) -> None:
    secure.start(secure.authority.issue(HOST))
    seqs = list(range(1, 201))
    append(store, *seqs)
    with closing(Subscriber(secure.broker.port, "#")) as subscriber:
        publish(secure.config())
        until(lambda: subscriber.seqs() == seqs)
        until(lambda: outbox(store) == 0)
        announced = len(subscriber.of("/config"))
        for _ in range(50):
            subscriber.publish("homeassistant/status", "online")
        until(lambda: len(subscriber.of("/config")) > announced)


def test_a_certificate_of_ours_lets_us_in(secure: Secure, tmp_path: Path) -> None:
    secure.start(secure.authority.issue(HOST), "require_certificate true")
    ours = secure.authority.issue("box")
    check_broker(secure.config(certificate_file=ours.file, key_file=ours.key))
    both = tmp_path / "both.pem"
    both.write_bytes(ours.file.read_bytes() + ours.key.read_bytes())
    check_broker(secure.config(certificate_file=both))


def test_without_a_certificate_of_ours_the_reason_is_named(secure: Secure) -> None:
    secure.start(secure.authority.issue(HOST), "require_certificate true")
    told = failure(secure.config())
    assert told.removeprefix(f"{HOST}:{secure.broker.tls_port}: ") in {
        "TLS: tlsv13 alert certificate required",
        "it hangs up without an answer; mqtt.certificate_file is not set",  # the alert was cut off
    }


@pytest.mark.parametrize(
    ("host", "options", "reason"),
    [
        (HOST, PAST, "certificate has expired"),
        ("other.example", (), "IP address mismatch, certificate is not valid for '127.0.0.1'"),
    ],
)
def test_a_broker_that_is_not_who_it_should_be_is_refused(
    secure: Secure, host: str, options: tuple[str, ...], reason: str
) -> None:
    secure.start(secure.authority.issue(host, *options))
    subject = f"{HOST}:{secure.broker.tls_port}"
    assert failure(secure.config()) == f"{subject}: the broker's certificate is refused: {reason}"


def test_an_authority_that_we_do_not_know_is_refused(secure: Secure, tmp_path: Path) -> None:
    secure.start(secure.authority.issue(HOST))
    other = Authority(tmp_path, "other").certificate.file
    for ca_file in (other, None):
        told = failure(secure.config(ca_file=ca_file))
        assert told.endswith("certificate is refused: self-signed certificate in certificate chain")


def test_both_ways_to_mistake_the_port_are_named(secure: Secure) -> None:
    secure.start(secure.authority.issue(HOST))
    broker = secure.broker
    told = failure(secure.config().model_copy(update={"port": broker.port}))
    assert told == f"{HOST}:{broker.port}: it hangs up at the TLS handshake"
    told = failure(MqttConfig(host=HOST, port=broker.tls_port))
    assert told.endswith(": it hangs up without an answer; mqtt.tls is not set")


def test_a_handshake_that_times_out_is_named(silent: MqttConfig) -> None:
    told = failure(silent.model_copy(update={"tls": True}))
    assert told == f"{HOST}:{silent.port}: it times out at the TLS handshake"


@pytest.mark.parametrize("key", ["ca_file", "certificate_file", "key_file"])
@pytest.mark.parametrize("content", [None, b"", b"nonsense", b"\xff\x00"])
def test_a_file_that_is_missing_or_something_else_is_named_with_its_key(
    secure: Secure, tmp_path: Path, key: str, content: bytes | None
) -> None:
    ours = secure.authority.issue("box")
    file = tmp_path / "file"
    if content is not None:
        file.write_bytes(content)
    files = {"certificate_file": ours.file, "key_file": ours.key} | {key: file}
    told = failure(secure.config(**files))
    assert str(file) in told
    assert told.startswith("mqtt.ca_file" if key == "ca_file" else "mqtt.")
    if content is None:
        assert told == f"mqtt.{key}: {file}: No such file or directory"


def test_a_key_that_is_encrypted_or_of_another_certificate_is_named(secure: Secure) -> None:
    locked = secure.authority.issue("locked", "-passout", "pass:secret")
    ours = secure.authority.issue("box")
    told = failure(secure.config(certificate_file=locked.file, key_file=locked.key))
    assert told.startswith(f"mqtt.certificate_file: {locked.file}, {locked.key}: TLS: ")
    told = failure(
        secure.config(certificate_file=ours.file, key_file=secure.authority.certificate.key)
    )
    assert told.endswith("TLS: key values mismatch")


def test_a_certificate_that_has_expired_is_an_outage_until_it_is_renewed(
    secure: Secure, store: EventStore, *, publish: Publish, logs: Logs
) -> None:
    certificate = secure.authority.issue(HOST, *PAST)
    secure.start(certificate)
    append(store, 1)
    publish(secure.config())
    until(lambda: said(logs, "outage starts"))
    secure.authority.issue(HOST)
    secure.broker.signal(signal.SIGHUP)
    until(lambda: outbox(store) == 0)
    assert len(said(logs, "outage starts")) == 1
    assert not said(logs, "outage goes on")
    until(lambda: said(logs, "outage ends"))
