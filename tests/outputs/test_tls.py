"""TLS with a real mosquitto: certificates, and one clear error for each fault."""

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
from tests.support.broker import Broker, Subscriber, until
from tests.support.certificates import PAST, Authority, Certificate
from tests.support.samples import append, outbox, said

HOST = "127.0.0.1"


@dataclass
class Secure:
    """A mosquitto with TLS on one port and, for the subscriber, plain MQTT on another."""

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


def test_events_arrive_and_messages_come_in_over_tls(secure, store, publish):
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


def test_client_certificate_is_accepted(secure, tmp_path):
    secure.start(secure.authority.issue(HOST), "require_certificate true")
    client = secure.authority.issue("box")
    check_broker(secure.config(certificate_file=client.file, key_file=client.key))
    both = tmp_path / "both.pem"
    both.write_bytes(client.file.read_bytes() + client.key.read_bytes())
    check_broker(secure.config(certificate_file=both))


def test_missing_client_certificate_is_named(secure):
    secure.start(secure.authority.issue(HOST), "require_certificate true")
    error = failure(secure.config())
    assert error.removeprefix(f"{HOST}:{secure.broker.tls_port}: ") in {
        "TLS: tlsv13 alert certificate required",
        # the TLS alert was lost
        "it closes the connection without an answer; mqtt.certificate_file is not set",
    }


@pytest.mark.parametrize(
    ("host", "options", "reason"),
    [
        (HOST, PAST, "certificate has expired"),
        ("other.example", (), "IP address mismatch, certificate is not valid for '127.0.0.1'"),
    ],
)
def test_certificate_of_another_host_or_time_is_refused(secure, host, options, reason):
    secure.start(secure.authority.issue(host, *options))
    subject = f"{HOST}:{secure.broker.tls_port}"
    assert failure(secure.config()) == f"{subject}: its certificate is refused: {reason}"


def test_unknown_certificate_authority_is_refused(secure, tmp_path):
    secure.start(secure.authority.issue(HOST))
    other = Authority(tmp_path, "other").certificate.file
    for ca_file in (other, None):
        error = failure(secure.config(ca_file=ca_file))
        assert error.endswith(
            "certificate is refused: self-signed certificate in certificate chain"
        )


def test_port_with_and_without_tls_mixed_up_is_named(secure):
    secure.start(secure.authority.issue(HOST))
    broker = secure.broker
    error = failure(secure.config().model_copy(update={"port": broker.port}))
    assert error == f"{HOST}:{broker.port}: it closes the connection during the TLS handshake"
    error = failure(MqttConfig(host=HOST, port=broker.tls_port))
    assert error.endswith(": it closes the connection without an answer; mqtt.tls is not set")


def test_handshake_time_out_is_named(silent):
    error = failure(silent.model_copy(update={"tls": True}))
    assert error == f"{HOST}:{silent.port}: it times out during the TLS handshake"


@pytest.mark.parametrize("key", ["ca_file", "certificate_file", "key_file"])
@pytest.mark.parametrize("content", [None, b"", b"nonsense", b"\xff\x00"])
def test_missing_or_wrong_file_is_named_with_its_key(secure, tmp_path, key, content):
    client = secure.authority.issue("box")
    file = tmp_path / "file"
    if content is not None:
        file.write_bytes(content)
    files = {"certificate_file": client.file, "key_file": client.key} | {key: file}
    error = failure(secure.config(**files))
    assert str(file) in error
    assert error.startswith("mqtt.ca_file" if key == "ca_file" else "mqtt.")
    if content is None:
        assert error == f"mqtt.{key}: {file}: No such file or directory"


def test_encrypted_key_or_key_of_another_certificate_is_named(secure):
    locked = secure.authority.issue("locked", "-passout", "pass:secret")
    client = secure.authority.issue("box")
    error = failure(secure.config(certificate_file=locked.file, key_file=locked.key))
    assert error.startswith(f"mqtt.certificate_file: {locked.file}, {locked.key}: TLS: ")
    error = failure(
        secure.config(certificate_file=client.file, key_file=secure.authority.certificate.key)
    )
    assert error.endswith("TLS: key values mismatch")


def test_expired_certificate_is_an_outage_until_it_is_renewed(secure, store, *, publish, logs):
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
