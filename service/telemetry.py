"""What is counted and timed, for Prometheus."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import NamedTuple

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest

from service.models import Models, ServedRef

METHODS = {"GET", "POST", "PUT", "DELETE", "HEAD", "OPTIONS", "PATCH"}
SECONDS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10)
ROWS = (1, 4, 16, 64, 256, 1024, 4096, 16384)
DISTANCES = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1, 3, 10)
DRIFTS = ("none", "inputs", "errors", "both")
"""What drifts, by its code."""

SIZES = (1, 2, 4, 8, 16, 32, 64, 128, 256)


class _Seen(NamedTuple):
    """A combination of labels that has been seen; to find it again costs less than to ask Prometheus' client."""

    requests: Counter
    seconds: Histogram


class StreamMetrics:
    """Those of the streams of an app."""

    def __init__(self, registry: CollectorRegistry) -> None:
        """Declare them."""
        self._pushes = Counter("gatecast_pushes", "Pushes to streams.", ["outcome"], registry=registry)
        self._rows = Histogram("gatecast_commit_rows", "Rows committed together.", buckets=ROWS, registry=registry)
        self._seconds = Histogram(
            "gatecast_commit_seconds",
            "Time to compute and commit a batch of pushes.",
            buckets=SECONDS,
            registry=registry,
        )
        self._drifting = Gauge("gatecast_streams", "Streams by drift.", ["model", "drift"], registry=registry)
        self.cached = Gauge("gatecast_streams_cached", "Streams held in memory.", registry=registry)
        self.waiting = Gauge("gatecast_waiting_rows", "Rows that wait for the log.", registry=registry)
        self._outcomes = cache(self._pushes.labels)

    def pushed(self, outcome: str, pushes: int = 1) -> None:
        """Count pushes that were accepted or replayed, or refused for a reason."""
        self._outcomes(outcome).inc(pushes)

    def committed(self, rows: int, seconds: float) -> None:
        """Note how many rows were taken together, and how long that took."""
        self._rows.observe(rows)
        self._seconds.observe(seconds)

    def drifting(self, model: str, streams: Mapping[int, int]) -> None:
        """Say how many streams of a model drift, by the code of what does."""
        for code, name in enumerate(DRIFTS):
            self._drifting.labels(model, name).set(streams.get(code, 0))


class Metrics:
    """Prometheus metrics of one app, in a registry of its own."""

    def __init__(self) -> None:
        """Declare them."""
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self._requests = Counter(
            "gatecast_requests", "Requests answered.", ["method", "route", "status"], registry=self.registry
        )
        self._seconds = Histogram(
            "gatecast_request_seconds", "Time to answer.", ["route"], buckets=SECONDS, registry=self.registry
        )
        self._models = Gauge(
            "gatecast_model_info", "Models served.", ["model", "version", "alias", "run_id"], registry=self.registry
        )
        self._devices = Gauge(
            "gatecast_model_device",
            "Where models are computed.",
            ["model", "version", "device"],
            registry=self.registry,
        )
        self._refused = Gauge("gatecast_models_refused", "Models that could not be loaded.", registry=self.registry)
        self._batch = Histogram(
            "gatecast_batch_windows", "Windows computed together.", buckets=SIZES, registry=self.registry
        )
        self._dropped = Counter(
            "gatecast_dropped", "Requests that were queued and not computed.", ["reason"], registry=self.registry
        )
        self.swaps = Counter(
            "gatecast_model_swaps", "Models that took the place of another.", ["model"], registry=self.registry
        )
        self.reload_failures = Counter(
            "gatecast_model_reload_failures", "Versions that were not let in.", ["reason"], registry=self.registry
        )
        self.load_seconds = Histogram(
            "gatecast_model_load_seconds", "Time to fetch, check and open a model.", registry=self.registry
        )
        self._shadowed = Counter(
            "gatecast_shadow_windows", "Windows a shadow saw.", ["model", "version", "outcome"], registry=self.registry
        )
        self._differences = Histogram(
            "gatecast_shadow_difference",
            "Mean distance of its point from the one answered, in standard deviations of the training rows.",
            ["model", "version"],
            buckets=DISTANCES,
            registry=self.registry,
        )
        self.webhooks = Counter(
            "gatecast_webhooks", "Deliveries of the registry's webhook.", ["outcome"], registry=self.registry
        )
        self.registry_up = Gauge("gatecast_registry_up", "Whether the registry answers.", registry=self.registry)
        self.waiting = Gauge("gatecast_waiting_windows", "Windows that wait to be computed.", registry=self.registry)
        self.streams = StreamMetrics(self.registry)
        self._seen, self._drops = cache(self._labelled), cache(self._dropped.labels)

    def answered(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count one request."""
        seen = self._seen(method if method in METHODS else "other", route, status)
        seen.requests.inc()
        seen.seconds.observe(seconds)

    def _labelled(self, method: str, route: str, status: int) -> _Seen:
        return _Seen(self._requests.labels(method, route, status), self._seconds.labels(route))

    def batch(self, windows: int) -> None:
        """Note how many windows were computed together."""
        self._batch.observe(windows)

    def dropped(self, reason: str) -> None:
        """Count a request that was queued and then not computed."""
        self._drops(reason).inc()

    def shadowed(self, ref: ServedRef, outcome: str, windows: int) -> None:
        """Count windows that a shadow compared, missed, or failed at."""
        self._shadowed.labels(ref.name, ref.version, outcome).inc(windows)

    def differed(self, ref: ServedRef, distance: float) -> None:
        """Note how far what a shadow says is from what was answered."""
        self._differences.labels(ref.name, ref.version).observe(distance)

    def serving(self, models: Models) -> None:
        """Say which models are served from now on."""
        self._models.clear()
        self._devices.clear()
        for model in models.served.values():
            ref = model.ref
            self._models.labels(ref.name, ref.version, ref.alias or "", ref.run_id).set(1)
            self._devices.labels(ref.name, ref.version, str(model.bundle.forecaster.spread.device)).set(1)
        self._refused.set(len(models.refused))

    def text(self) -> bytes:
        """Return all of them in Prometheus' text format."""
        return generate_latest(self.registry)
