import protobuf from 'protobufjs';

// Remote write decoded by protobufjs: a second opinion, independent of src/stores/prometheus. Field numbers from
// prometheus prompb/types.proto, remote.proto and io/prometheus/write/v2/types.proto.

const histogram = `
  oneof count { uint64 count_int = 1; double count_float = 2; }
  double sum = 3; sint32 schema = 4; double zero_threshold = 5;
  oneof zero_count { uint64 zero_count_int = 6; double zero_count_float = 7; }
  repeated BucketSpan negative_spans = 8; repeated sint64 negative_deltas = 9; repeated double negative_counts = 10;
  repeated BucketSpan positive_spans = 11; repeated sint64 positive_deltas = 12; repeated double positive_counts = 13;
  int32 reset_hint = 14; int64 timestamp = 15; repeated double custom_values = 16; int64 start_timestamp = 17;`;
const span = 'message BucketSpan { sint32 offset = 1; uint32 length = 2; }';
const { root } = protobuf.parse(
  `syntax = "proto3";
  message V1 {
    message WriteRequest { repeated TimeSeries timeseries = 1; repeated MetricMetadata metadata = 3; }
    message TimeSeries {
      repeated Label labels = 1; repeated Sample samples = 2; repeated Exemplar exemplars = 3; repeated Histogram histograms = 4;
    }
    message Label { string name = 1; string value = 2; }
    message Sample { double value = 1; int64 timestamp = 2; }
    message Exemplar { repeated Label labels = 1; double value = 2; int64 timestamp = 3; }
    message MetricMetadata { int32 type = 1; string metric_family_name = 2; string help = 4; string unit = 5; }
    message Histogram { ${histogram} }
    ${span}
  }
  message V2 {
    message Request { repeated string symbols = 4; repeated TimeSeries timeseries = 5; }
    message TimeSeries {
      repeated uint32 labels_refs = 1; repeated Sample samples = 2; repeated Histogram histograms = 3;
      repeated Exemplar exemplars = 4; Metadata metadata = 5;
    }
    message Sample { double value = 1; int64 timestamp = 2; int64 start_timestamp = 3; }
    message Exemplar { repeated uint32 labels_refs = 1; double value = 2; int64 timestamp = 3; }
    message Metadata { int32 type = 1; uint32 help_ref = 3; uint32 unit_ref = 4; }
    message Histogram { ${histogram} }
    ${span}
  }`,
  { keepCase: false },
);

/** A TimeSeries of either version in the same plain form; times are milliseconds. */
export interface WrittenSeries {
  readonly labels: readonly (readonly [name: string, value: string])[];
  readonly samples: readonly { readonly value: number; readonly timestamp: number; readonly startTimestamp?: number }[];
  readonly histograms: readonly { readonly [field: string]: unknown }[];
  readonly exemplars: readonly {
    readonly labels: readonly (readonly [name: string, value: string])[];
    readonly value: number;
    readonly timestamp: number;
  }[];
  /** 2.0 only. */
  readonly metadata?: { readonly type: number; readonly help: string; readonly unit: string };
}

export function decodeWrite2(body: Uint8Array): {
  readonly symbols: readonly string[];
  readonly series: WrittenSeries[];
} {
  const { symbols, timeseries } = plain('V2.Request', body) as { symbols: string[]; timeseries: Fields[] };
  const at = (ref: number): string => {
    const symbol = symbols[ref];
    if (symbol === undefined) throw new Error(`a reference to symbol ${ref} of ${symbols.length}`);
    return symbol;
  };
  const pairs = (refs: readonly number[]) =>
    Array.from({ length: refs.length / 2 }, (_, index) => [at(refs[index * 2]!), at(refs[index * 2 + 1]!)] as const);
  return {
    symbols,
    series: timeseries.map(({ labelsRefs, exemplars, metadata, ...rest }) => ({
      ...rest,
      labels: pairs(labelsRefs),
      exemplars: exemplars.map(({ labelsRefs: refs, ...exemplar }: Fields) => ({ ...exemplar, labels: pairs(refs) })),
      metadata: { type: metadata.type, help: at(metadata.helpRef), unit: at(metadata.unitRef) },
    })) as unknown as WrittenSeries[],
  };
}

export function decodeWrite1(body: Uint8Array): {
  readonly metadata: readonly Fields[];
  readonly series: WrittenSeries[];
} {
  const { timeseries, metadata } = plain('V1.WriteRequest', body) as { timeseries: Fields[]; metadata: Fields[] };
  const pairs = (labels: readonly Fields[]) => labels.map(({ name, value }) => [name, value] as const);
  return {
    metadata,
    series: timeseries.map(({ labels, exemplars, ...rest }) => ({
      ...rest,
      labels: pairs(labels),
      exemplars: exemplars.map(({ labels: own, ...exemplar }: Fields) => ({ ...exemplar, labels: pairs(own) })),
    })) as unknown as WrittenSeries[],
  };
}

// biome-ignore lint/suspicious/noExplicitAny: protobufjs' plain objects, narrowed by what they become
type Fields = Record<string, any>;

function plain(name: string, body: Uint8Array): Fields {
  const type = root.lookupType(name);
  return type.toObject(type.decode(body), { longs: Number, defaults: true, arrays: true, oneofs: false });
}
