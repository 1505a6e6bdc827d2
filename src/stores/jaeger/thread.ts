import { serveTasks } from '../../base/index.ts';
import { type Done, done, type Work } from './work.ts';

// The thread in which large answers are taken apart.

serveTasks<Work, Done>((work) => {
  const result = done(work);
  if (!(result instanceof Uint8Array)) return { result, transfer: [] };
  const own = new Uint8Array(result); // a view would take all of the buffer that it is a part of
  return { result: own, transfer: [own.buffer] };
});
