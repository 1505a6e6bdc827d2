import { ownBuffer, serveTasks } from '../base/index.ts';
import { type Preparation, type Prepared, prepare } from './prepare.ts';

// A thread that checks large requests: body in, prepared request out. Buffers are handed over, not copied.
serveTasks<Preparation, Prepared>((task) => {
  const prepared = prepare(task);
  const bytes = ownBuffer(prepared.bytes);
  return { result: { ...prepared, bytes, digest: new Uint8Array(prepared.digest) }, transfer: [bytes.buffer] };
});
