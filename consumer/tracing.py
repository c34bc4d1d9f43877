"""Traces for OpenTelemetry: spans with names, positions and counts, never payload or SQL.

Until `start_tracing` a span is a no-op, so that the extra `tracing` is needed only if traces are wanted.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from opentelemetry.sdk.trace.export import SpanExporter
    from opentelemetry.trace import Tracer

SERVICE = "strandline"
PREFIX = "strandline."
# For one export, its retries included. A collector that is away must not hold up the end of a process.
SECONDS, SECONDS_VARIABLE = 2, "OTEL_EXPORTER_OTLP_TIMEOUT"
Facts = dict[str, int | str]

_tracer: "Tracer | None" = None


def start_tracing(exporter: "SpanExporter | None" = None) -> None:
    """Export the spans of this process, by OTLP over HTTP as OpenTelemetry's own variables say (OTEL_…).

    What waits to be exported is sent when the process ends.
    """
    from opentelemetry.sdk.resources import SERVICE_NAME, Resource
    from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    if exporter is None:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

        exporter = OTLPSpanExporter(timeout=None if SECONDS_VARIABLE in os.environ else SECONDS)

    class Processor(BatchSpanProcessor):
        """Leaves out what found nothing to do: the mark is looked at every few seconds."""

        def on_end(self, span: ReadableSpan) -> None:
            if span.attributes:
                super().on_end(span)

    global _tracer
    provider = TracerProvider(resource=Resource.create({SERVICE_NAME: os.environ.get("OTEL_SERVICE_NAME", SERVICE)}))
    provider.add_span_processor(Processor(exporter))
    _tracer = provider.get_tracer(SERVICE)


def stop_tracing() -> None:
    """Let spans be no-ops again."""
    global _tracer
    _tracer = None


@contextmanager
def span(name: str) -> Iterator[Facts]:
    """Trace what happens in the block. What it puts into the given facts becomes the span's attributes.

    An error is traced by its type alone: its text, and the source lines of a traceback, may hold payload.
    """
    facts: Facts = {}
    if _tracer is None:
        yield facts
        return
    from opentelemetry.trace import Status, StatusCode

    with _tracer.start_as_current_span(name, record_exception=False, set_status_on_exception=False) as opened:
        try:
            yield facts
        except BaseException as error:
            opened.set_status(Status(StatusCode.ERROR))
            opened.set_attribute("error.type", type(error).__name__)
            raise
        finally:
            opened.set_attributes({PREFIX + fact: value for fact, value in facts.items()})
