import { type MessagePort, parentPort } from 'node:worker_threads';
import { Fault } from '../base/index.ts';
import { alone, type Reply, type Task } from './pool.ts';
import { unpack } from './unpack.ts';

// A thread of the pool: one body in, one message or the reason why not out. Buffers are handed over, not copied.
const port = parentPort as MessagePort;
port.on('message', (task: Task) => {
  const [reply, transfer] = answer(task);
  port.postMessage(reply, transfer);
});

function answer(task: Task): [Reply, ArrayBuffer[]] {
  try {
    const body = alone(unpack(task));
    return [{ body }, [body.buffer]];
  } catch (thrown) {
    const { code, message, cause } = Fault.from(thrown);
    const stack = cause instanceof Error ? cause.stack : undefined;
    return [{ code, message, stack }, []];
  }
}
