"""Metrics as lines of the log in CloudWatch's embedded metric format, from the same values as `/metrics`.

CloudWatch Logs makes metrics of such lines by itself, so no agent is needed. The format:
https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html
"""

from collections.abc import Iterable, Iterator
from typing import Any

from prometheus_client.core import Metric

NAMESPACE = "Strandline"
MOST_METRICS = 100  # the format's limit for one line
PARTS = ("_sum", "_count")  # of a histogram; the format has no buckets

Labels = tuple[tuple[str, str], ...]


class MetricLines:
    """Turns values into lines. Of what only grows it gives the growth since the last call."""

    def __init__(self, application: str, worker_id: str) -> None:
        self._application = application
        self._worker_id = worker_id
        self._last: dict[tuple[str, Labels], float] = {}

    def lines(self, families: Iterable[Metric], milliseconds: int) -> Iterator[dict[str, Any]]:
        """Yield one line for each set of labels, as of a time in milliseconds since 1970."""
        values: dict[Labels, dict[str, float]] = {}
        for family in families:
            for name, labels, value in self._values(family):
                values.setdefault(labels, {})[name] = value
        for labels, metrics in values.items():
            names = list(metrics)
            for start in range(0, len(names), MOST_METRICS):
                yield self._line(
                    labels, {name: metrics[name] for name in names[start : start + MOST_METRICS]}, milliseconds
                )

    def _values(self, family: Metric) -> Iterator[tuple[str, Labels, float]]:
        for sample in family.samples:
            labels = tuple(sorted(sample.labels.items()))
            if family.type == "gauge":
                yield sample.name, labels, sample.value
            elif sample.name.endswith("_total") or (family.type == "histogram" and sample.name.endswith(PARTS)):
                last = self._last.get((sample.name, labels), 0.0)
                self._last[sample.name, labels] = sample.value
                # A value that is smaller than the last one has begun again at 0.
                yield sample.name, labels, sample.value - last if sample.value >= last else sample.value

    def _line(self, labels: Labels, metrics: dict[str, float], milliseconds: int) -> dict[str, Any]:
        dimensions = {"application": self._application, **dict(labels)}
        directive = {
            "Namespace": NAMESPACE,
            "Dimensions": [list(dimensions)],
            "Metrics": [{"Name": name, "Unit": _unit(name)} for name in metrics],
        }
        return {
            "_aws": {"Timestamp": milliseconds, "CloudWatchMetrics": [directive]},
            "event": "metrics",
            "worker_id": self._worker_id,
            **dimensions,
            **metrics,
        }


def _unit(name: str) -> str:
    return "Seconds" if name.removesuffix("_sum").endswith("_seconds") else "Count"
