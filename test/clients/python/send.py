"""Sends what every client test sends, with the OpenTelemetry SDK for Python, and prints what it sent.

python send.py PROTOCOL ENDPOINT SERVICE COMPRESSION
  PROTOCOL grpc or http/protobuf; ENDPOINT host:port or base URL; COMPRESSION none, gzip or deflate
"""

import json
import sys
import time

from opentelemetry import trace
from opentelemetry._logs import LogRecord, SeverityNumber
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import BatchLogRecordProcessor
from opentelemetry.sdk.metrics import Histogram, MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.metrics.view import ExponentialBucketHistogramAggregation, View
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

protocol, endpoint, service, compression = sys.argv[1:]
if protocol == "grpc":
    import grpc
    from opentelemetry.exporter.otlp.proto.grpc._log_exporter import OTLPLogExporter
    from opentelemetry.exporter.otlp.proto.grpc.metric_exporter import OTLPMetricExporter
    from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter

    kinds = {"none": grpc.Compression.NoCompression, "gzip": grpc.Compression.Gzip, "deflate": grpc.Compression.Deflate}

    def to(_signal):
        return {"endpoint": endpoint, "insecure": True, "compression": kinds[compression]}
else:
    from opentelemetry.exporter.otlp.proto.http import Compression
    from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
    from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

    kinds = {"none": Compression.NoCompression, "gzip": Compression.Gzip, "deflate": Compression.Deflate}

    def to(signal):
        return {"endpoint": f"{endpoint}/v1/{signal}", "compression": kinds[compression]}


failures = []


def watched(exporter):
    send = exporter.export

    def export(*args, **kwargs):
        result = send(*args, **kwargs)
        if result.name != "SUCCESS":
            failures.append(f"{type(exporter).__name__}: {result}")
        return result

    exporter.export = export
    return exporter


resource = Resource.create({"service.name": service, "service.version": "1.2.3"})
attributes = {
    "client.text": "grüße, 世界",
    "client.count": 42,
    "client.ratio": 0.25,
    "client.flag": True,
    "client.list": ["a", "b"],
}
traces = TracerProvider(resource=resource)
traces.add_span_processor(BatchSpanProcessor(watched(OTLPSpanExporter(**to("traces")))))
logs = LoggerProvider(resource=resource)
logs.add_log_record_processor(BatchLogRecordProcessor(watched(OTLPLogExporter(**to("logs")))))
metrics = MeterProvider(
    resource=resource,
    metric_readers=[
        PeriodicExportingMetricReader(watched(OTLPMetricExporter(**to("metrics"))), export_interval_millis=3_600_000)
    ],
    views=[
        View(
            instrument_type=Histogram,
            instrument_name="client.latency",
            aggregation=ExponentialBucketHistogramAggregation(),
        )
    ],
)


def ids(span):
    held = span.get_span_context()
    return {"traceId": trace.format_trace_id(held.trace_id), "spanId": trace.format_span_id(held.span_id)}


sent = {"service": service, "spans": [], "logs": []}
tracer = traces.get_tracer("client-test", "0.1.0")
logger = logs.get_logger("client-test", "0.1.0")
for turn in range(20):
    with tracer.start_as_current_span(f"root {turn}", attributes=attributes) as root:
        link = trace.Link(root.get_span_context())
        with tracer.start_as_current_span(f"child {turn}", attributes=attributes, links=[link]) as child:
            child.add_event("happened", {"event.step": turn})
            child.set_status(trace.StatusCode.ERROR, "declined")
            body = f"client line {turn} of {service}"
            logger.emit(
                LogRecord(
                    timestamp=time.time_ns(),
                    severity_number=SeverityNumber.WARN,
                    severity_text="WARN",
                    body=body,
                    attributes=attributes,
                )
            )
    sent["spans"].append({**ids(root), "name": f"root {turn}"})
    sent["spans"].append({**ids(child), "name": f"child {turn}"})
    sent["logs"].append({"body": body, **ids(child)})

meter = metrics.get_meter("client-test", "0.1.0")
meter.create_counter("client.requests").add(7, {"route": "/pay"})
meter.create_up_down_counter("client.open").add(3, {"route": "/pay"})
meter.create_gauge("client.temperature").set(21.5, {"route": "/pay"})
meter.create_histogram("client.size", unit="By").record(100, {"route": "/pay"})
meter.create_histogram("client.latency", unit="s").record(0.25, {"route": "/pay"})

for provider in (traces, logs, metrics):
    provider.force_flush()
    provider.shutdown()
if failures:
    sys.exit("\n".join(failures))
print(json.dumps(sent))
