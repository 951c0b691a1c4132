"""The metrics as Prometheus scrapes them."""

import re
import socket
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from plateid import http_server
from plateid.backoff import Backoff, Outage
from plateid.config.service import MetricsConfig
from plateid.service.metrics import Metrics, MetricsServer
from plateid.store.event_store import EventStore
from tests.support.broker import free_port, until
from tests.support.samples import Logs, append, event, make_health, said

Samples = dict[str, dict[tuple[str, ...], float]]


@pytest.fixture
def store(tmp_path: Path) -> Iterator[EventStore]:
    with closing(EventStore(tmp_path / "events.sqlite3")) as opened:
        yield opened


def scraped(port: int) -> Samples:
    """Returns the value of each sample by its name and label values."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as answer:
        text = answer.read().decode()
    samples: Samples = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            labels = tuple(sample.labels[key] for key in sorted(sample.labels))
            samples.setdefault(sample.name, {})[labels] = sample.value
    return samples


@contextmanager
def served(metrics: Metrics) -> Iterator[int]:
    port = free_port()
    server = MetricsServer(MetricsConfig(enabled=True, port=port), metrics)
    server.check()
    try:
        yield port
    finally:
        server.stop()


def test_latency_is_the_mean_time_of_both_networks_for_a_frame(store):
    metrics = Metrics(make_health(store).report)
    assert metrics.latency_ms is None
    for seconds in (0.02, 0.04):
        metrics.detector_s.labels("gate").observe(seconds)
    metrics.reader_s.labels("gate").observe(0.01)
    assert metrics.latency_ms == 35


def test_metrics_equal_the_health_report(store):
    append(store, 1, 2)
    store.rows("UPDATE delivery SET queued_at = ?", time.time() - 100)
    health = make_health(store, cameras=["gate", "yard"], clock_synced=False)
    for event_type in ("plate_seen", "plate_seen", "plate_left"):
        health.events.count(event(1, event_type=event_type))
    report = health.report()
    with served(Metrics(health.report)) as port:
        samples = scraped(port)
    assert samples["plateid_info"] == {("tiny", report["version"]): 1}
    assert samples["plateid_camera_online"] == {("gate",): 1, ("yard",): 1}
    assert samples["plateid_frames_total"] == {("gate",): 10, ("yard",): 10}
    assert samples["plateid_frames_dropped_total"] == {("gate",): 1, ("yard",): 1}
    assert samples["plateid_frames_skipped_total"] == {("gate",): 2, ("yard",): 2}
    assert samples["plateid_passes_unpublished_total"] == {("gate",): 3, ("yard",): 3}
    assert samples["plateid_events_total"][("gate", "plate_seen")] == 2
    assert samples["plateid_events_total"][("yard", "plate_left")] == 0
    assert samples["plateid_outbox_events"] == {(): 2}
    assert samples["plateid_outbox_oldest_seconds"][()] == pytest.approx(100, abs=3)
    assert samples["plateid_clock_synced"] == {(): 0}
    assert samples["plateid_disk_free_bytes"][()] == pytest.approx(
        report["disk_free_mb"] * 1e6, rel=0.1
    )
    for name in ("outbox_dropped", "lost_events", "stores_replaced"):
        assert samples[f"plateid_{name}_total"] == {(): 0}


def test_documentation_lists_every_metric(store):
    health = make_health(store, cameras=["gate"])
    more = {
        "temperature_c": 50.0,
        "outputs": {"csv": {"events": 0, "refused": 0, "dropped": 0}},
        "outages": {"broker": 1},
    }
    append(store, 1)
    store.rows("UPDATE delivery SET queued_at = ?", time.time())
    metrics = Metrics(lambda: health.report() | more)
    metrics.detector_s.labels("gate").observe(0.1)
    metrics.reader_s.labels("gate").observe(0.1)
    with served(metrics) as port:
        names = {re.sub("_(bucket|sum|count)$", "", name) for name in scraped(port)}
    documentation = Path(__file__).parents[2] / "docs/service.md"
    documented = set(re.findall(r"`(plateid_\w+)`", documentation.read_text()))
    assert documented == {name for name in names if not name.endswith("_created")}


def test_unknown_values_are_left_out(store):
    health = make_health(store, clock_synced=None)
    store.close()
    with served(Metrics(health.report)) as port:
        samples = scraped(port)
    assert not {"plateid_outbox_events", "plateid_clock_synced"} & samples.keys()
    assert samples["plateid_outbox_dropped_total"] == {(): 0}


def test_outputs_and_outages_are_labelled_by_name():
    report: dict[str, Any] = {
        "version": "1",
        "bundle": "b",
        "uptime_s": 1,
        "cameras": {},
        "disk": "failed",
        "outbox": {"events": 0, "oldest_s": None, "dropped": 0},
        "unstored": 0,
        "lost": 0,
        "stores_replaced": 0,
        "disk_free_mb": None,
        "temperature_c": 61.7,
        "clock_synced": True,
        "outputs": {
            "webhook gate": {"events": 3, "refused": 1, "dropped": 2},
            "csv": {"events": None, "refused": 0, "dropped": 0},
        },
        "outages": {"broker": 4},
    }
    with served(Metrics(lambda: report)) as port:
        samples = scraped(port)
    assert samples["plateid_output_events"] == {("webhook gate",): 3}
    assert samples["plateid_output_refused_total"] == {("webhook gate",): 1, ("csv",): 0}
    assert samples["plateid_output_dropped_total"] == {("webhook gate",): 2, ("csv",): 0}
    assert samples["plateid_outages_total"] == {("broker",): 4}
    assert samples["plateid_disk_failed"] == {(): 1}
    assert samples["plateid_temperature_celsius"] == {(): 61.7}
    assert "plateid_disk_free_bytes" not in samples


def test_outage_is_counted_once():
    from plateid.backoff import outage_counts

    outage = Outage("test outage", Backoff())
    for _ in range(2):
        outage.failed("x")
        outage.failed("x")
        outage.recovered()
    assert outage_counts.pop("test outage") == 2


def test_server_listens_on_loopback_and_only_if_enabled(store):
    metrics = Metrics(make_health(store).report)
    with served(metrics) as port, socket.socket() as other:
        other.settimeout(2)
        with pytest.raises(OSError, match="refused"):
            other.connect(("127.0.0.2", port))
    before = {*threading.enumerate()}
    MetricsServer(MetricsConfig(), metrics).check()
    assert {*threading.enumerate()} <= before


def test_server_starts_without_a_look_up_of_its_name(store, monkeypatch):
    monkeypatch.setattr(socket, "getfqdn", None)
    with served(Metrics(make_health(store).report)) as port:
        assert scraped(port)


def test_port_in_use_is_an_outage_until_it_is_free(store, logs: Logs):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        config = MetricsConfig(enabled=True, port=port)
        server = MetricsServer(config, Metrics(make_health(store).report))
        server.check()
    (reason,) = said(logs, "outage starts")
    assert reason == f"127.0.0.1:{port}: Address already in use"
    server._outage._next_try = 0.0
    server.check()
    assert scraped(port)["plateid_outbox_events"] == {(): 0}
    server.stop()
    until(lambda: refused(port))


def test_silent_client_is_disconnected(store, monkeypatch, capfd):
    monkeypatch.setattr(http_server, "REQUEST_HEADER_TIMEOUT_S", 0.5)
    metrics = Metrics(make_health(store).report)
    with served(metrics) as port, socket.create_connection(("127.0.0.1", port), 10) as client:
        assert client.recv(100) == b""
        assert scraped(port)
    assert capfd.readouterr().err == ""


def test_many_slow_clients_get_no_thread_and_time_out(store, monkeypatch):
    monkeypatch.setattr(http_server, "REQUEST_HEADER_TIMEOUT_S", 2.0)
    with served(Metrics(make_health(store).report)) as port, ExitStack() as stack:
        before, address = threading.active_count(), ("127.0.0.1", port)
        clients = [stack.enter_context(socket.create_connection(address, 10)) for _ in range(3 * 8)]
        for client in clients:
            client.sendall(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nX: ")
        with pytest.raises(urllib.error.HTTPError, match="503"):
            scraped(port)
        assert threading.active_count() == before
        for _ in range(10):  # bytes that keep a slow request alive
            time.sleep(0.3)
            with suppress(OSError):
                clients[0].sendall(b"x")
        assert [client.recv(100) for client in clients[1:]] == 23 * [b""]
        assert scraped(port)


def refused(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
    except ConnectionError as error:  # a connection that was accepted at the last moment is reset
        return isinstance(error, ConnectionRefusedError)
    return False
