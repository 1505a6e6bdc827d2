import { Fault } from './fault.ts';
import { serveTasks } from './thread-pool.ts';

/** What the tests of the pool ask of a thread. */
export type Errand =
  | { readonly do: 'double'; readonly bytes: Uint8Array<ArrayBuffer> }
  | { readonly do: 'refuse' }
  | { readonly do: 'break' }
  | { readonly do: 'die' }
  | { readonly do: 'eat memory' };

serveTasks<Errand, Uint8Array>((errand) => {
  switch (errand.do) {
    case 'double': {
      const result = errand.bytes.map((byte) => byte * 2);
      return { result, transfer: [result.buffer] };
    }
    case 'refuse':
      throw new Fault('malformed', 'no good', { retryAfterMs: 7 });
    case 'break':
      throw new TypeError('a secret of the input');
    case 'die':
      process.exit(3);
      break;
    case 'eat memory': {
      const eaten: unknown[] = [];
      for (;;) eaten.push(Array.from({ length: 10_000 }, (_, index) => ({ index })));
    }
  }
});
