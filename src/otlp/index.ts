export { defaultLimits, type Limits } from './limits.ts';
export { encodeResourceAttribute, resourceHas, resourceText, spliceResources } from './resource.ts';
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
