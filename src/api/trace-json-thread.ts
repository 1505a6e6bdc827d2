import { serveTasks } from '../base/index.ts';
import { protobufToJson } from '../otlp/index.ts';

// The thread of trace-json.ts.
const encoder = new TextEncoder();

serveTasks<Uint8Array, Uint8Array>((trace) => {
  const json = encoder.encode(protobufToJson('traces', trace));
  return { result: json, transfer: [json.buffer] };
});
