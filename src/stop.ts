import { setTimeout as sleep } from 'node:timers/promises';

/** Why the process ends. */
interface StopReason {
  /** `interrupted`: a person at the terminal; `terminated`: a supervisor; `failed`: it cannot go on. */
  readonly kind: 'interrupted' | 'terminated' | 'failed';
  readonly text: string;
}

export interface StopRequest {
  /** Resolves once, with the first reason. */
  readonly requested: Promise<StopReason>;
  /** Asks for the stop from within. */
  fail(error: unknown, text: string): void;
  /** Waits, but not when a person presses Ctrl-C again. */
  sleep(ms: number): Promise<void>;
  dispose(): void;
}

/**
 * Listens for SIGTERM and SIGINT. A second SIGTERM changes nothing, a second SIGINT cuts the waiting short, a third one
 * kills. SIGHUP is a terminal that went away, and ends the process, where there was one; elsewhere it asks to reload.
 * An exception that nobody caught ends the process at once, exit code 1: the log makes that safe.
 */
export function stopRequested(
  logger: { fatal(fields: object, message: string): void },
  options: { readonly onTerminal: boolean; readonly reload: () => void },
): StopRequest {
  const first = Promise.withResolvers<StopReason>();
  const hurry = new AbortController();
  let interrupts = 0;
  const terminated = () => first.resolve({ kind: 'terminated', text: 'SIGTERM' });
  const interrupted = () => {
    interrupts += 1;
    if (interrupts === 2) hurry.abort();
    if (interrupts >= 3) process.exit(130);
    first.resolve({ kind: 'interrupted', text: 'SIGINT' });
  };
  const hungUp = () => {
    if (options.onTerminal) first.resolve({ kind: 'interrupted', text: 'SIGHUP' });
    else options.reload();
  };
  const crashed = (error: unknown) => {
    logger.fatal({ err: error }, 'a bug: the process ends, and what was acknowledged is on disk');
    process.exit(1);
  };
  process.on('SIGTERM', terminated).on('SIGINT', interrupted).on('SIGHUP', hungUp);
  process.on('uncaughtException', crashed).on('unhandledRejection', crashed);
  return {
    requested: first.promise,
    fail(error, text) {
      logger.fatal({ err: error }, text);
      first.resolve({ kind: 'failed', text });
    },
    sleep: (ms) => sleep(ms, undefined, { signal: hurry.signal }).catch(() => undefined),
    dispose() {
      process.off('SIGTERM', terminated).off('SIGINT', interrupted).off('SIGHUP', hungUp);
      process.off('uncaughtException', crashed).off('unhandledRejection', crashed);
    },
  };
}
