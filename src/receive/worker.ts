import { ownBuffer, serveTasks } from '../base/index.ts';
import { type Packed, unpack } from './unpack.ts';

// A thread of the pool: one body in, one message or the reason why not out. Buffers are handed over, not copied.
serveTasks<Packed, Uint8Array>((task) => {
  const body = ownBuffer(unpack(task));
  return { result: body, transfer: [body.buffer] };
});
