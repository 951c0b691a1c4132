"""Serves Prometheus metrics: the health report, and the inference times of the networks.

No label and no value contains a plate or the name of a list entry.
"""

import tomllib
from collections.abc import Callable, Iterator
from importlib import resources
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
METRICS = tomllib.loads(resources.files("plateid.service").joinpath("metrics.toml").read_text())
"""The metrics of the health report."""
FAMILIES = {"gauge": GaugeMetricFamily, "counter": CounterMetricFamily}
Report = dict[str, Any]
"""The content of the health report's JSON."""
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
        free_mb = report["disk_free_mb"]
        free_bytes = None if free_mb is None else free_mb * 1_000_000
        values = report | {"disk_failed": report["disk"] != "ok", "disk_free_bytes": free_bytes}
        for name, (kind, text, labels, path) in METRICS.items():
            family = FAMILIES[kind](f"plateid_{name}", text, labels=labels)
            for own_labels, value in _values(values, path):
                family.add_metric(own_labels, value)
            if labels or family.samples:
                yield family

    @property
    def latency_ms(self) -> float | None:
        """Mean time of detector and reader, milliseconds a frame; None before the first frame."""
        families = (*self.detector_s.collect(), *self.reader_s.collect())
        samples = [each for family in families for each in family.samples]
        frames = sum(each.value for each in samples if each.name.endswith("detector_seconds_count"))
        total_s = sum(each.value for each in samples if each.name.endswith("_sum"))
        return round(1000 * total_s / frames, 1) if frames else None

    def _histogram(self, stage: str, text: str) -> Histogram:
        name = f"plateid_{stage}_seconds"
        return Histogram(name, text, ["camera"], registry=self.registry, buckets=BUCKETS_S)


def _values(part: Any, path: str) -> Iterator[tuple[list[str], float]]:
    """Yields the labels and the value at each place of a report that a path names."""
    key, _, rest = path.partition(".")
    if not path:
        yield from [([], part)] if part is not None else ()
    elif key == "*":
        for name, each in part.items():
            yield from (([name, *labels], value) for labels, value in _values(each, rest))
    else:
        yield from _values(part[key], rest)


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
