import { Fault, type FaultCode } from '../base/index.ts';
import { callsMax } from './limits.ts';

// Calls over a channel that carries structured clones, such as the one between a process and its child. Both sides may
// call. The last argument of each method is an AbortSignal, which crosses as a message of its own.

export type RpcMessage =
  | { readonly kind: 'call'; readonly id: number; readonly method: string; readonly args: readonly unknown[] }
  | { readonly kind: 'cancel'; readonly id: number }
  | { readonly kind: 'value'; readonly id: number; readonly value: unknown }
  | { readonly kind: 'fault'; readonly id: number; readonly fault: FaultClone };

/** A Fault without its class, its stack and its cause. */
export interface FaultClone {
  readonly code: FaultCode;
  readonly message: string;
  readonly retryAfterMs: number | undefined;
  readonly parameter: string | undefined;
}

export type Method = (...args: never[]) => Promise<unknown>;

/** Throws where a message cannot be cloned or the channel is closed. */
export type Send = (message: RpcMessage) => void;

interface Pending {
  readonly resolve: (value: unknown) => void;
  readonly reject: (fault: unknown) => void;
  readonly forget: () => void;
}

/** The side that asks. */
export class RpcClient {
  readonly #send: Send;
  readonly #pending = new Map<number, Pending>();
  #nextId = 1;

  constructor(send: Send) {
    this.#send = send;
  }

  /**
   * @throws Fault as the other side threw it; `unavailable` where the channel is closed or too many calls wait; the
   *   signal's reason once it is aborted.
   */
  call(method: string, args: readonly unknown[], cancel?: AbortSignal): Promise<unknown> {
    if (cancel?.aborted) return Promise.reject(cancel.reason);
    if (this.#pending.size >= callsMax) {
      return Promise.reject(new Fault('unavailable', 'too many queries at once', { retryAfterMs: 1_000 }));
    }
    const id = this.#nextId++;
    return new Promise((resolve, reject) => {
      const onAbort = () => {
        if (!this.#take(id)) return;
        // Where the channel is closed there is nothing left to cancel.
        try {
          this.#send({ kind: 'cancel', id });
        } catch {}
        reject(cancel?.reason);
      };
      this.#pending.set(id, { resolve, reject, forget: () => cancel?.removeEventListener('abort', onAbort) });
      cancel?.addEventListener('abort', onAbort, { once: true });
      try {
        this.#send({ kind: 'call', id, method, args });
      } catch (thrown) {
        this.#take(id)?.reject(
          new Fault('unavailable', 'the store is not running at present', {
            retryAfterMs: 1_000,
            cause: thrown,
          }),
        );
      }
    });
  }

  /** Takes an answer; those to calls that were cancelled are late and dropped. */
  receive(message: Extract<RpcMessage, { kind: 'value' | 'fault' }>): void {
    const pending = this.#take(message.id);
    if (message.kind === 'value') pending?.resolve(message.value);
    else pending?.reject(faultOf(message.fault));
  }

  /** Ends all calls that wait: the other side is gone. */
  failAll(fault: Fault): void {
    for (const id of [...this.#pending.keys()]) this.#take(id)?.reject(fault);
  }

  #take(id: number): Pending | undefined {
    const pending = this.#pending.get(id);
    this.#pending.delete(id);
    pending?.forget();
    return pending;
  }
}

/** The side that answers. */
export class RpcServer {
  readonly #send: Send;
  readonly #methods: ReadonlyMap<string, Method>;
  readonly #onBug: (thrown: unknown, method: string) => void;
  readonly #running = new Map<number, AbortController>();

  /** @param onBug Hears what was thrown and is no Fault: the caller is told `internal error`, no more. */
  constructor(send: Send, methods: ReadonlyMap<string, Method>, onBug: (thrown: unknown, method: string) => void) {
    this.#send = send;
    this.#methods = methods;
    this.#onBug = onBug;
  }

  receive(message: Extract<RpcMessage, { kind: 'call' | 'cancel' }>): void {
    if (message.kind === 'cancel') this.#running.get(message.id)?.abort(new Fault('unavailable', 'cancelled'));
    else void this.#run(message);
  }

  /** Aborts all calls: stopping. */
  abortAll(reason: Fault): void {
    for (const controller of this.#running.values()) controller.abort(reason);
  }

  async #run({ id, method, args }: Extract<RpcMessage, { kind: 'call' }>): Promise<void> {
    const controller = new AbortController();
    this.#running.set(id, controller);
    try {
      const run = this.#methods.get(method);
      if (run === undefined) throw new Fault('notConfigured', `the store does not answer ${method}`);
      const value = await run(...([...args, controller.signal] as never[]));
      this.#send({ kind: 'value', id, value });
    } catch (thrown) {
      if (!(thrown instanceof Fault) && !controller.signal.aborted) this.#onBug(thrown, method);
      this.#answerFault(id, Fault.from(thrown));
    } finally {
      this.#running.delete(id);
    }
  }

  #answerFault(id: number, fault: Fault): void {
    const { code, message, retryAfterMs, parameter } = fault;
    // A closed channel: nobody is left to be told.
    try {
      this.#send({ kind: 'fault', id, fault: { code, message, retryAfterMs, parameter } });
    } catch {}
  }
}

/** What an object answers, as methods named `<prefix>.<name>`. */
export function methodsOf(prefix: string, target: object, names: readonly string[]): [string, Method][] {
  const methods = target as Record<string, Method | undefined>;
  return names.flatMap((name) => {
    const method = methods[name];
    return method === undefined ? [] : [[`${prefix}.${name}`, method.bind(target)] as [string, Method]];
  });
}

/** An object whose methods are calls: the last argument of each is an AbortSignal. */
export function remoteObject<T extends object>(
  prefix: string,
  names: readonly (keyof T & string)[],
  call: (method: string, args: readonly unknown[], cancel?: AbortSignal) => Promise<unknown>,
): T {
  const methods = names.map((name) => [
    name,
    (...args: unknown[]) => {
      const cancel = args.at(-1);
      return cancel instanceof AbortSignal
        ? call(`${prefix}.${name}`, args.slice(0, -1), cancel)
        : call(`${prefix}.${name}`, args);
    },
  ]);
  return Object.fromEntries(methods) as T;
}

function faultOf(clone: FaultClone): Fault {
  return new Fault(clone.code, clone.message, {
    ...(clone.retryAfterMs === undefined ? {} : { retryAfterMs: clone.retryAfterMs }),
    ...(clone.parameter === undefined ? {} : { parameter: clone.parameter }),
  });
}
