import io.opentelemetry.api.common.AttributeKey;
import io.opentelemetry.api.common.Attributes;
import io.opentelemetry.api.logs.Logger;
import io.opentelemetry.api.logs.Severity;
import io.opentelemetry.api.metrics.Meter;
import io.opentelemetry.api.trace.Span;
import io.opentelemetry.api.trace.StatusCode;
import io.opentelemetry.api.trace.Tracer;
import io.opentelemetry.context.Context;
import io.opentelemetry.exporter.otlp.http.logs.OtlpHttpLogRecordExporter;
import io.opentelemetry.exporter.otlp.http.metrics.OtlpHttpMetricExporter;
import io.opentelemetry.exporter.otlp.http.trace.OtlpHttpSpanExporter;
import io.opentelemetry.exporter.otlp.logs.OtlpGrpcLogRecordExporter;
import io.opentelemetry.exporter.otlp.metrics.OtlpGrpcMetricExporter;
import io.opentelemetry.exporter.otlp.trace.OtlpGrpcSpanExporter;
import io.opentelemetry.sdk.common.CompletableResultCode;
import io.opentelemetry.sdk.logs.SdkLoggerProvider;
import io.opentelemetry.sdk.logs.export.BatchLogRecordProcessor;
import io.opentelemetry.sdk.logs.export.LogRecordExporter;
import io.opentelemetry.sdk.metrics.Aggregation;
import io.opentelemetry.sdk.metrics.InstrumentSelector;
import io.opentelemetry.sdk.metrics.SdkMeterProvider;
import io.opentelemetry.sdk.metrics.View;
import io.opentelemetry.sdk.metrics.export.MetricExporter;
import io.opentelemetry.sdk.metrics.export.PeriodicMetricReader;
import io.opentelemetry.sdk.resources.Resource;
import io.opentelemetry.sdk.trace.SdkTracerProvider;
import io.opentelemetry.sdk.trace.export.BatchSpanProcessor;
import io.opentelemetry.sdk.trace.export.SpanExporter;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.TimeUnit;

/**
 * Sends what every client test sends, with the OpenTelemetry SDK for Java, and prints what it sent.
 *
 * <p>java Send.java PROTOCOL ENDPOINT SERVICE COMPRESSION, where PROTOCOL is grpc or http/protobuf, ENDPOINT a base URL
 * and COMPRESSION none or gzip.
 */
public final class Send {
  private static final Attributes ATTRIBUTES =
      Attributes.builder()
          .put("client.text", "grüße, 世界")
          .put("client.count", 42L)
          .put("client.ratio", 0.25)
          .put("client.flag", true)
          .put("client.list", "a", "b")
          .build();

  public static void main(String[] args) throws InterruptedException {
    String protocol = args[0], endpoint = args[1], service = args[2], compression = args[3];
    boolean grpc = protocol.equals("grpc");
    SpanExporter spans =
        grpc
            ? OtlpGrpcSpanExporter.builder().setEndpoint(endpoint).setCompression(compression).build()
            : OtlpHttpSpanExporter.builder().setEndpoint(endpoint + "/v1/traces").setCompression(compression).build();
    LogRecordExporter records =
        grpc
            ? OtlpGrpcLogRecordExporter.builder().setEndpoint(endpoint).setCompression(compression).build()
            : OtlpHttpLogRecordExporter.builder().setEndpoint(endpoint + "/v1/logs").setCompression(compression).build();
    MetricExporter points =
        grpc
            ? OtlpGrpcMetricExporter.builder().setEndpoint(endpoint).setCompression(compression).build()
            : OtlpHttpMetricExporter.builder().setEndpoint(endpoint + "/v1/metrics").setCompression(compression).build();
    Resource resource =
        Resource.create(Attributes.builder().put("service.name", service).put("service.version", "1.2.3").build());
    SdkTracerProvider traces =
        SdkTracerProvider.builder()
            .setResource(resource)
            .addSpanProcessor(BatchSpanProcessor.builder(spans).build())
            .build();
    SdkLoggerProvider logs =
        SdkLoggerProvider.builder()
            .setResource(resource)
            .addLogRecordProcessor(BatchLogRecordProcessor.builder(records).build())
            .build();
    SdkMeterProvider metrics =
        SdkMeterProvider.builder()
            .setResource(resource)
            .registerMetricReader(PeriodicMetricReader.builder(points).setInterval(Duration.ofHours(1)).build())
            .registerView(
                InstrumentSelector.builder().setName("client.latency").build(),
                View.builder().setAggregation(Aggregation.base2ExponentialBucketHistogram()).build())
            .build();

    List<String> sentSpans = new ArrayList<>();
    List<String> sentLogs = new ArrayList<>();
    Tracer tracer = traces.tracerBuilder("client-test").setInstrumentationVersion("0.1.0").build();
    Logger logger = logs.loggerBuilder("client-test").setInstrumentationVersion("0.1.0").build();
    for (int turn = 0; turn < 20; turn++) {
      Span root = tracer.spanBuilder("root " + turn).setNoParent().setAllAttributes(ATTRIBUTES).startSpan();
      Context inRoot = Context.root().with(root);
      Span child =
          tracer
              .spanBuilder("child " + turn)
              .setParent(inRoot)
              .setAllAttributes(ATTRIBUTES)
              .addLink(root.getSpanContext())
              .startSpan();
      child.addEvent("happened", Attributes.of(AttributeKey.longKey("event.step"), (long) turn));
      child.setStatus(StatusCode.ERROR, "declined");
      String body = "client line " + turn + " of " + service;
      logger
          .logRecordBuilder()
          .setContext(inRoot.with(child))
          .setTimestamp(System.currentTimeMillis(), TimeUnit.MILLISECONDS)
          .setSeverity(Severity.WARN)
          .setSeverityText("WARN")
          .setBody(body)
          .setAllAttributes(ATTRIBUTES)
          .emit();
      child.end();
      root.end();
      sentSpans.add("{" + ids(root) + ",\"name\":\"root " + turn + "\"}");
      sentSpans.add("{" + ids(child) + ",\"name\":\"child " + turn + "\"}");
      sentLogs.add("{" + ids(child) + ",\"body\":\"" + body + "\"}");
    }
    Meter meter = metrics.get("client-test");
    Attributes route = Attributes.of(AttributeKey.stringKey("route"), "/pay");
    meter.counterBuilder("client.requests").build().add(7, route);
    meter.upDownCounterBuilder("client.open").build().add(3, route);
    meter.gaugeBuilder("client.temperature").build().set(21.5, route);
    meter.histogramBuilder("client.size").setUnit("By").build().record(100, route);
    meter.histogramBuilder("client.latency").setUnit("s").build().record(0.25, route);

    boolean good = true;
    for (CompletableResultCode flushed : List.of(traces.forceFlush(), logs.forceFlush(), metrics.forceFlush())) {
      good &= flushed.join(20, TimeUnit.SECONDS).isSuccess();
    }
    traces.shutdown().join(10, TimeUnit.SECONDS);
    logs.shutdown().join(10, TimeUnit.SECONDS);
    metrics.shutdown().join(10, TimeUnit.SECONDS);
    if (!good) {
      System.err.println("an export failed");
      System.exit(1);
    }
    System.out.println(
        "{\"service\":\"" + service + "\",\"spans\":[" + String.join(",", sentSpans) + "],\"logs\":["
            + String.join(",", sentLogs) + "]}");
    System.exit(0);
  }

  private static String ids(Span span) {
    return "\"traceId\":\"" + span.getSpanContext().getTraceId() + "\",\"spanId\":\""
        + span.getSpanContext().getSpanId() + "\"";
  }
}
