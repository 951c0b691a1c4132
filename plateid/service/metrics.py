"""Serves Prometheus metrics: the health report, and the inference times of the networks.

No label and no value contains a plate or the name of a list entry.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import structlog
from prometheus_client import CollectorRegistry, Histogram, make_asgi_app
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily, Metric
from prometheus_client.registry import Collector

from plateid.backoff import Backoff, Outage
from plateid.config.service import MetricsConfig
from plateid.errors import PlateidError
from plateid.http_server import HttpServer, listen

BUCKETS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)
"""Upper bounds of the histograms' buckets, seconds."""
MAX_CONNECTIONS = 8
"""Maximum number of connections that get metrics; further ones get status 503."""
Report = Mapping[str, Any]
"""The content of the health report's JSON, or a part of it."""
log = structlog.get_logger()


class Metrics(Collector):
    """All metrics; `detector_s` (a frame) and `reader_s` (its plates) are seconds by camera."""

    def __init__(self, report: Callable[[], Report]) -> None:
        """Registers the metrics. Each scrape calls `report`, which returns the health report."""
        self._report = report
        self.registry = CollectorRegistry()
        self.registry.register(self)
        self.detector_s = self._histogram("detector", "Detector time per frame")
        self.reader_s = self._histogram("reader", "Reader time for all plates of a frame")

    def describe(self) -> Iterator[Metric]:
        """Returns nothing, so that the registration does not call `report`."""
        return iter(())

    def collect(self) -> Iterator[Metric]:
        """Yields the report as metrics, without unknown values."""
        report = self._report()
        names = {"version": report["version"], "bundle": report["bundle"]}
        yield InfoMetricFamily("plateid", "Version and model bundle", names)
        yield from _device_metrics(report)
        yield from _camera_metrics(report["cameras"])
        yield from _output_metrics(report["outputs"])
        yield _counter("outages", "Outages since the start", "what", report["outages"])

    def _histogram(self, stage: str, text: str) -> Histogram:
        name = f"plateid_{stage}_seconds"
        return Histogram(name, text, ["camera"], registry=self.registry, buckets=BUCKETS_S)


def _device_metrics(report: Report) -> Iterator[Metric]:
    outbox = report["outbox"]
    free_mb, synced = report["disk_free_mb"], report["clock_synced"]
    for name, text, value in (
        ("uptime_seconds", "Time since the start", report["uptime_s"]),
        ("outbox_events", "Events waiting for the MQTT broker", outbox["events"]),
        ("outbox_oldest_seconds", "Age of the oldest waiting event", outbox["oldest_s"]),
        ("disk_failed", "1 if the event store cannot be written, else 0", report["disk"] != "ok"),
        ("unstored_events", "Events in memory that are not on disk yet", report["unstored"]),
        ("disk_free_bytes", "Free space on the store's disk", free_mb and free_mb * 1_000_000),
        ("temperature_celsius", "Temperature of the hottest zone", report["temperature_c"]),
        ("clock_synced", "1 if a time service sets the clock, else 0", synced),
    ):
        if value is not None:
            yield GaugeMetricFamily(f"plateid_{name}", text, value)
    for name, text, value in (
        ("outbox_dropped", "Events deleted from the full outbox", outbox["dropped"]),
        ("lost_events", "Events lost: store failed and memory full", report["lost"]),
        ("stores_replaced", "Corrupt store files replaced", report["stores_replaced"]),
    ):
        yield CounterMetricFamily(f"plateid_{name}", text, value)


def _camera_metrics(cameras: Mapping[str, Report]) -> Iterator[Metric]:
    online = {name: camera["online"] for name, camera in cameras.items()}
    yield _gauge("camera_online", "1 if frames arrive, else 0", "camera", online)
    for key, name, text in (
        ("frames", "frames", "Frames received"),
        ("dropped", "frames_dropped", "Frames dropped: no worker had time"),
        ("skipped", "frames_skipped", "Frames skipped under load: all visible passes settled"),
        ("unpublished", "passes_unpublished", "Passes that ended without a good reading"),
    ):
        counts = {camera: values[key] for camera, values in cameras.items()}
        yield _counter(name, text, "camera", counts)
    events = CounterMetricFamily("plateid_events", "Plate events", labels=["camera", "type"])
    for name, camera in cameras.items():
        for event_type, count in camera["events"].items():
            events.add_metric([name, event_type], count)
    yield events


def _output_metrics(outputs: Mapping[str, Report]) -> Iterator[Metric]:
    waiting = {name: out["events"] for name, out in outputs.items() if out["events"] is not None}
    yield _gauge("output_events", "Events waiting for an output", "output", waiting)
    for key, text in (
        ("refused", "Events that an output refused"),
        ("dropped", "Events deleted because they waited too long or were too many"),
    ):
        counts = {name: output[key] for name, output in outputs.items()}
        yield _counter(f"output_{key}", text, "output", counts)


def _gauge(name: str, text: str, label: str, values: Mapping[str, float]) -> Metric:
    return _with_values(GaugeMetricFamily(f"plateid_{name}", text, labels=[label]), values)


def _counter(name: str, text: str, label: str, values: Mapping[str, float]) -> Metric:
    return _with_values(CounterMetricFamily(f"plateid_{name}", text, labels=[label]), values)


def _with_values(
    family: GaugeMetricFamily | CounterMetricFamily, values: Mapping[str, float]
) -> Metric:
    for key, value in values.items():
        family.add_metric([key], value)
    return family


class MetricsServer:
    """Serves the metrics over HTTP from its own thread. Call all methods from one thread."""

    def __init__(self, config: MetricsConfig, metrics: Metrics) -> None:
        """Does not listen before `check`, and never if metrics are disabled."""
        self._config = config
        self._metrics = metrics
        self._outage = Outage("metrics", Backoff())
        self._running: HttpServer | None = None

    def check(self) -> None:
        """Starts to listen, or retries after a failure. Call it periodically."""
        if not self._config.enabled or self._running is not None or self._outage.wait_s:
            return
        host, port = str(self._config.host), self._config.port
        with self._outage.noted(PlateidError):
            listener = listen(host, port)
            app = make_asgi_app(self._metrics.registry)
            self._running = HttpServer(
                app, listener, name="metrics", max_connections=MAX_CONNECTIONS
            )
            log.info("metrics server started", address=f"{host}:{port}")

    def stop(self) -> None:
        """Stops to listen."""
        if self._running is not None:
            self._running.stop()
