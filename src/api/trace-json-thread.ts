import { parentPort } from 'node:worker_threads';
import { protobufToJson } from '../otlp/index.ts';
import type { TraceAnswer, TraceQuestion } from './trace-json.ts';

// The thread of trace-json.ts.
const encoder = new TextEncoder();

parentPort?.on('message', ({ id, trace }: TraceQuestion) => {
  const { answer, transfer } = answerOf(id, trace);
  parentPort?.postMessage(answer, transfer);
});

function answerOf(id: number, trace: Uint8Array): { answer: TraceAnswer; transfer: ArrayBuffer[] } {
  try {
    const json = encoder.encode(protobufToJson('traces', trace));
    return { answer: { id, json }, transfer: [json.buffer] };
  } catch (thrown) {
    return { answer: { id, error: thrown instanceof Error ? thrown.message : 'not an error' }, transfer: [] };
  }
}
