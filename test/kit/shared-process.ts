import { afterAll, beforeAll, expect } from 'vitest';
import { type Running, startProcess, temporaryFolder } from './process.ts';

/**
 * One process for all tests of a file or a `describe`, in a folder of its own; ended by SIGTERM, which has to give exit
 * code 0. To be called where hooks may be; its members are there in hooks that follow, and in tests.
 */
export function sharedProcess(): Running {
  let folder: Awaited<ReturnType<typeof temporaryFolder>> | undefined;
  let started: Running | undefined;
  const running = () => {
    if (started === undefined) throw new Error('the process runs in hooks and tests only');
    return started;
  };
  beforeAll(async () => {
    folder = await temporaryFolder();
    started = await startProcess({ dataDir: folder.path });
  });
  afterAll(async () => {
    const ended = await started?.stop();
    await folder?.[Symbol.asyncDispose]();
    expect(ended?.code).toBe(0);
  });
  return {
    get pid() {
      return running().pid;
    },
    get http() {
      return running().http;
    },
    get otlpHttp() {
      return running().otlpHttp;
    },
    get otlpGrpc() {
      return running().otlpGrpc;
    },
    get dataDir() {
      return running().dataDir;
    },
    output: () => running().output(),
    stop: (signal) => running().stop(signal),
  };
}
