"""Writes the metrics to the log for CloudWatch, at intervals."""

import time

from strandline.consumer.background import Background
from strandline.consumer.logging import write_event
from strandline.consumer.monitoring.cloudwatch import MetricLines
from strandline.consumer.monitoring.exposition import Exposition
from strandline.consumer.settings import Settings


class MetricsLog(Background):
    """Writes them every `cloudwatch_seconds`; ends at once if that is not set."""

    def __init__(self, settings: Settings, exposition: Exposition) -> None:
        super().__init__("metrics log")
        self._seconds = settings.cloudwatch_seconds
        self._exposition = exposition
        self._lines = MetricLines(settings.application, settings.worker_id)

    def run(self) -> None:
        if self._seconds is None:
            return
        while not self.stopping.wait(self._seconds):
            self.write()

    def write(self) -> None:
        """Write the metrics as they are now. Asks the store."""
        for line in self._lines.lines(self._exposition.collect(), time.time_ns() // 1_000_000):
            write_event(line)
