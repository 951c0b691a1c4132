"""What Prometheus scrapes: the report of the box as metrics, and the time that networks take.

No label and no value tells a plate, or the name of an entry of a list.
"""

import contextlib
import threading
from collections.abc import Callable, Iterator, Mapping
from typing import Any
from wsgiref.simple_server import WSGIServer

import structlog
from prometheus_client import CollectorRegistry, Histogram, start_http_server
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    InfoMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from plateid.backoff import Backoff, Outage
from plateid.config.service import MetricsConfig

QUIET_S = 10.0
"""A client has so long to ask."""
BUCKETS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)
Report = Mapping[str, Any]
log = structlog.get_logger()


class Metrics(Collector):
    """All metrics of a box; a registry of their own, so that a process may have several.

    Attributes:
        detector_s: Seconds of each detection, by camera.
        reader_s: Seconds of each reading of all plates of a frame, by camera.
    """

    def __init__(self, report: Callable[[], Report]) -> None:
        """`report` gives what the health topic says, whenever somebody scrapes."""
        self._report = report
        self.registry = CollectorRegistry()
        self.registry.register(self)
        self.detector_s = self._histogram("detector", "Detection in one frame")
        self.reader_s = self._histogram("reader", "Reading of the plates of one frame")

    def describe(self) -> Iterator[Metric]:
        """Nothing: the report is not asked for before somebody scrapes."""
        return iter(())

    def collect(self) -> Iterator[Metric]:
        """The report; what it cannot tell is left out."""
        report = self._report()
        names = {"version": report["version"], "bundle": report["bundle"]}
        yield InfoMetricFamily("plateid", "This plateid", names)
        yield from _of_box(report)
        yield from _of_cameras(report["cameras"])
        yield from _of_sinks(report["sinks"])
        yield _counter("outages", "Outages that began", "what", report["outages"])

    def _histogram(self, stage: str, text: str) -> Histogram:
        name = f"plateid_{stage}_seconds"
        return Histogram(name, text, ["camera"], registry=self.registry, buckets=BUCKETS_S)


def _of_box(report: Report) -> Iterator[Metric]:
    outbox = report["outbox"]
    free_mb, synced = report["disk_free_mb"], report["clock_synced"]
    for name, text, value in (
        ("uptime_seconds", "Since the start", report["uptime_s"]),
        ("outbox_events", "Events that wait for the broker", outbox["events"]),
        ("outbox_oldest_seconds", "How long the oldest of them waits", outbox["oldest_s"]),
        ("unstored_events", "Events in memory that the store has not taken", report["unstored"]),
        ("disk_free_bytes", "Of the disk of the store", free_mb and free_mb * 1_000_000),
        ("temperature_celsius", "Of the hottest thermal zone", report["temperature_c"]),
        ("clock_synced", "Whether a time service sets the clock", synced),
    ):
        if value is not None:
            yield GaugeMetricFamily(f"plateid_{name}", text, value)
    for name, text, value in (
        ("outbox_dropped", "Events that will not be sent: outbox full", outbox["dropped"]),
        ("lost_events", "Events that neither store nor memory had room for", report["lost"]),
        ("stores_replaced", "Corrupt stores that made room", report["stores_replaced"]),
    ):
        yield CounterMetricFamily(f"plateid_{name}", text, value)


def _of_cameras(cameras: Mapping[str, Report]) -> Iterator[Metric]:
    online = {name: camera["online"] for name, camera in cameras.items()}
    yield _gauge("camera_online", "Whether frames come", "camera", online)
    for key, name, text in (
        ("frames", "frames", "Frames that came"),
        ("dropped", "frames_dropped", "Frames that no worker had time for"),
        ("spared", "frames_spared", "Frames passed over for others: nothing was left to learn"),
        ("untold", "vehicles_untold", "Vehicles that left though no read of their plate was good"),
    ):
        counts = {camera: told[key] for camera, told in cameras.items()}
        yield _counter(name, text, "camera", counts)
    events = CounterMetricFamily("plateid_events", "Events", labels=["camera", "type"])
    for name, camera in cameras.items():
        for event_type, count in camera["events"].items():
            events.add_metric([name, event_type], count)
    yield events


def _of_sinks(sinks: Mapping[str, Report]) -> Iterator[Metric]:
    waiting = {name: sink["events"] for name, sink in sinks.items() if sink["events"] is not None}
    yield _gauge("sink_events", "Events that wait for a sink", "sink", waiting)
    for key in ("refused", "dropped"):
        counts = {name: sink[key] for name, sink in sinks.items()}
        yield _counter(f"sink_{key}", f"Events {key}", "sink", counts)


def _gauge(name: str, text: str, label: str, values: Mapping[str, float]) -> Metric:
    family = GaugeMetricFamily(f"plateid_{name}", text, labels=[label])
    for key, value in values.items():
        family.add_metric([key], value)
    return family


def _counter(name: str, text: str, label: str, values: Mapping[str, float]) -> Metric:
    family = CounterMetricFamily(f"plateid_{name}", text, labels=[label])
    for key, value in values.items():
        family.add_metric([key], value)
    return family


def _impatient(handler: Any) -> Any:
    """A request handler that hangs up on clients that say nothing."""

    class Impatient(handler):  # type: ignore[misc]
        timeout = QUIET_S

        def handle(self) -> None:
            with contextlib.suppress(TimeoutError):
                super().handle()

    return Impatient


class MetricsServer:
    """Serves metrics over HTTP from a thread of its own; all calls come from one other thread."""

    def __init__(self, config: MetricsConfig, metrics: Metrics) -> None:
        """Does not listen yet; if metrics are switched off, it never does."""
        self._config = config
        self._metrics = metrics
        self._outage = Outage("metrics", Backoff())
        self._running: tuple[WSGIServer, threading.Thread] | None = None

    def check(self) -> None:
        """Listens, as soon as the address can be had; to be called now and then."""
        if not self._config.enabled or self._running is not None or self._outage.wait_s:
            return
        host, port = str(self._config.host), self._config.port
        try:
            server, thread = start_http_server(port, host, self._metrics.registry)
            server.RequestHandlerClass = _impatient(server.RequestHandlerClass)
            self._running = server, thread
        except OSError as error:
            self._outage.failed(f"{host}:{port}: {error.strerror}")
        else:
            self._outage.recovered()
            log.info("metrics served", address=f"{host}:{port}")

    def stop(self) -> None:
        """Listens no more within half a second; does not wait for it."""
        if self._running is not None:
            threading.Thread(target=self._close, name="metrics", daemon=True).start()

    def _close(self) -> None:
        if self._running is not None:
            server, thread = self._running
            server.shutdown()
            server.server_close()
            thread.join()
