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
