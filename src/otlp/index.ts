export { jsonToProtobuf } from './json-in.ts';
export { protobufToJson } from './json-out.ts';
export { defaultLimits, type Limits } from './limits.ts';
export { type Json, plainAttributes, plainDouble, plainInteger, plainValue } from './plain.ts';
export { labelName, type MetricKind, metricName, promotedResourceAttributes } from './prometheus-names.ts';
export { encodeResourceAttribute, resourceHas, resourceText, spliceResources } from './resource.ts';
export {
  decodeExportResponse,
  decodeStatus,
  type ExportAnswer,
  encodeExportResponse,
  encodeStatus,
  type RpcStatus,
} from './response.ts';
export { type Rewritten, rewrite } from './rewrite.ts';
export { type ResourceAt, type Walked, walk } from './walk.ts';
export {
  Reader,
  readDouble,
  readFixed32,
  readFixed64,
  readString,
  varintSize,
  Writer,
  wireBytes,
  wireFixed32,
  wireFixed64,
  wireVarint,
} from './wire.ts';
