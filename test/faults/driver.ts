import { setTimeout as sleep } from 'node:timers/promises';
import { signals } from '../../src/base/index.ts';
import { freePort } from '../kit/program.ts';
import { exportPath, GrpcPeer } from '../kit/receivers.ts';
import type { Entry, Ledger } from './ledger.ts';

/** Ports that stay the same over restarts, as a Service gives them. */
export interface Ports {
  readonly grpc: number;
  readonly http: number;
}

export async function choosePorts(): Promise<Ports> {
  return { grpc: await freePort(), http: await freePort() };
}

export function portVariables(ports: Ports): Record<string, string> {
  return { WATCHINGCAT_OTLP_GRPC_PORT: `${ports.grpc}`, WATCHINGCAT_OTLP_HTTP_PORT: `${ports.http}` };
}

/**
 * Sends all three signals over gRPC and HTTP at once until it is stopped. What was not acknowledged is sent again with the
 * same bytes, as clients do; one in ten is given up instead, so that requests of unknown fate remain.
 */
export class Load {
  readonly #ledger: Ledger;
  readonly #ports: Ports;
  readonly #random: () => number;
  readonly #workers: Promise<void>[];
  /** Answers that were neither success nor retryable, which no well-formed request may get. */
  readonly unexpected: string[] = [];
  round: number;
  #stopping = false;
  #abandoned = false;

  /** @param round Of each entry; points of a round are asked for together, so that it must not last five minutes. */
  constructor(ledger: Ledger, ports: Ports, random: () => number, round = 0) {
    this.round = round; // before the workers begin
    this.#ledger = ledger;
    this.#ports = ports;
    this.#random = random;
    const senders = [() => this.#overGrpc(), () => this.#overHttp()];
    this.#workers = signals.flatMap((signal) => senders.map((sender) => this.#work(signal, sender())));
  }

  /** Ends after each worker's request under way is settled: the process must be running. */
  async stop(): Promise<void> {
    this.#stopping = true;
    await Promise.all(this.#workers);
  }

  /** Ends at once, whether or not anybody answers: for a test that has failed. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#abandoned = true;
    await this.stop();
  }

  async #work(signal: Entry['signal'], sender: Sender): Promise<void> {
    while (!this.#stopping) {
      const entry = this.#ledger.open(signal, this.round);
      const patient = this.#random() >= 0.1;
      for (;;) {
        const outcome = await sender.send(entry);
        if (outcome === 'ok') {
          this.#ledger.acknowledge(entry);
          break;
        }
        if (outcome !== 'again') {
          this.unexpected.push(outcome);
          break;
        }
        if (!patient || this.#abandoned) break;
        await sleep(20);
      }
      await sleep(4);
    }
    sender.close();
  }

  #overGrpc(): Sender {
    // Reconnects at once: what is tested is the server, and the rounds are short.
    const options = {
      'grpc.initial_reconnect_backoff_ms': 20,
      'grpc.min_reconnect_backoff_ms': 20,
      'grpc.max_reconnect_backoff_ms': 50,
    };
    const peer = new GrpcPeer(this.#ports.grpc, { ...options, 'grpc.use_local_subchannel_pool': 1 });
    return {
      send: async (entry) => {
        const answer = await peer.call(exportPath[entry.signal], entry.body, { deadline: Date.now() + 5000 });
        if (answer.code === 0)
          return answer.message?.length === 0 ? 'ok' : `gRPC: not empty: ${answer.message?.toString('hex')}`;
        // OTLP 1.11.0, "Failures": CANCELLED, DEADLINE_EXCEEDED, RESOURCE_EXHAUSTED with RetryInfo, ABORTED, UNAVAILABLE
        const severed = answer.code === 13 && /RST_STREAM|internal error.*stream/i.test(answer.details); // grpc-js for a connection cut off
        return [1, 4, 10, 14].includes(answer.code) || severed ? 'again' : `gRPC: ${answer.code} ${answer.details}`;
      },
      close: () => peer[Symbol.dispose](),
    };
  }

  #overHttp(): Sender {
    return {
      send: async (entry) => {
        try {
          const answer = await fetch(`http://127.0.0.1:${this.#ports.http}/v1/${entry.signal}`, {
            method: 'POST',
            headers: { 'content-type': 'application/x-protobuf' },
            body: Buffer.from(entry.body),
            signal: AbortSignal.timeout(5000),
          });
          const bytes = await answer.arrayBuffer();
          if (answer.ok)
            return bytes.byteLength === 0 ? 'ok' : `HTTP: not empty: ${Buffer.from(bytes).toString('hex')}`;
          return [429, 502, 503, 504].includes(answer.status)
            ? 'again'
            : `HTTP: ${answer.status} ${Buffer.from(bytes)}`;
        } catch {
          return 'again'; // the connection was refused or cut off
        }
      },
      close: () => undefined,
    };
  }
}

interface Sender {
  /** 'ok', 'again', or what was wrong. */
  send(entry: Entry): Promise<string>;
  close(): void;
}
