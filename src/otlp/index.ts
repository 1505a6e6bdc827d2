export { jsonToProtobuf } from './json-in.ts';
export { protobufToJson } from './json-out.ts';
export { keepRecords } from './keep.ts';
export { defaultLimits, type Limits } from './limits.ts';
export { type Json, plainAttributes, plainValue } from './plain.ts';
export {
  labelName,
  type MetricKind,
  metricName,
  promotedResourceAttributes,
  type TranslationStrategy,
  translationStrategies,
  unitName,
} from './prometheus-names.ts';
export { eachRecord, encodeTrace, type OriginBytes } from './records.ts';
export {
  encodeResourceAttribute,
  identityAttributes,
  resourceAttributes,
  resourceHas,
  resourceText,
  spliceResources,
  writeTextArray,
} from './resource.ts';
export {
  decodeExportResponse,
  decodeStatus,
  encodeExportResponse,
  encodeStatus,
} from './response.ts';
export { type Rewritten, rewrite } from './rewrite.ts';
export { type ResourceAt, type Walked, walk } from './walk.ts';
export { eventObjectAttribute, watchedMetricPrefixes } from './watched.ts';
export {
  Reader,
  readDouble,
  readFixed64,
  varintSize,
  Writer,
  wireBytes,
  wireFixed64,
  wireVarint,
} from './wire.ts';
