import { once } from 'node:events';
import { rm } from 'node:fs/promises';
import net, { type AddressInfo } from 'node:net';
import { join } from 'node:path';
import { type Ended, type Running, startProcess } from '../kit/process.ts';
import { freePort } from '../kit/program.ts';
import { type Ports, portVariables } from './driver.ts';

/** One of several processes that know each other. Its ports stay the same over restarts. */
interface Replica {
  readonly ports: Ports;
  readonly peersPort: number;
  dataDir: string;
  running: Running | undefined;
}

/** Replicas behind a Service: clients reach whichever is there. */
export class Replicas implements AsyncDisposable {
  /** Of the Service. */
  readonly ports: Ports;
  readonly #folder: string;
  readonly #env: Readonly<Record<string, string>>;
  readonly #replicas: readonly Replica[];
  readonly #doors: readonly net.Server[];
  readonly #clients: ReadonlySet<net.Socket>;
  #folders = 0;

  private constructor(
    folder: string,
    env: Readonly<Record<string, string>>,
    replicas: readonly Replica[],
    doors: readonly [net.Server, net.Server],
    clients: ReadonlySet<net.Socket>,
  ) {
    this.#folder = folder;
    this.#env = env;
    this.#replicas = replicas;
    this.#doors = doors;
    this.#clients = clients;
    this.ports = { grpc: portOf(doors[0]), http: portOf(doors[1]) };
  }

  /** @param env Of each, beside ports and peers: its destinations. */
  static async start(folder: string, count: number, env: Readonly<Record<string, string>>): Promise<Replicas> {
    const replicas: Replica[] = [];
    for (let index = 0; index < count; index++) {
      const ports = { grpc: await freePort(), http: await freePort() };
      replicas.push({ ports, peersPort: await freePort(), dataDir: '', running: undefined });
    }
    const clients = new Set<net.Socket>();
    const grpc = await serviceOf(replicas, clients, (replica) => replica.ports.grpc);
    const http = await serviceOf(replicas, clients, (replica) => replica.ports.http);
    const all = new Replicas(folder, env, replicas, [grpc, http], clients);
    for (let index = 0; index < count; index++) await all.startOne(index);
    return all;
  }

  running(index: number): Running {
    const { running } = this.#replicas[index]!;
    if (running === undefined) throw new Error(`replica ${index} does not run`);
    return running;
  }

  /** On the disk that it had, or on an empty one. */
  async startOne(index: number): Promise<void> {
    const replica = this.#replicas[index]!;
    if (replica.dataDir === '') replica.dataDir = join(this.#folder, `data-${this.#folders++}`);
    replica.running = await startProcess({
      dataDir: replica.dataDir,
      env: {
        ...portVariables(replica.ports),
        WATCHINGCAT_PEERS: this.#replicas.map(({ peersPort }) => `127.0.0.1:${peersPort}`).join(),
        WATCHINGCAT_PEERS_PORT: `${replica.peersPort}`,
        WATCHINGCAT_PEERS_TOKEN: 'the-token-of-all-of-them',
        ...this.#env,
      },
    });
  }

  /** The Service sends nothing more to it from now on. */
  async stopOne(index: number, signal: NodeJS.Signals = 'SIGTERM'): Promise<Ended> {
    const replica = this.#replicas[index]!;
    const { running } = replica;
    replica.running = undefined;
    if (running === undefined) throw new Error(`replica ${index} does not run`);
    return running.stop(signal);
  }

  /**
   * Cuts off all clients, so that they come back to replicas that they were not at. Whose request was under way asks another
   * one again, without having had an answer.
   */
  scatter(): void {
    for (const client of this.#clients) client.resetAndDestroy();
  }

  /** Its volume goes with the pod: the next start is on an empty one. */
  async loseDisk(index: number): Promise<void> {
    const replica = this.#replicas[index]!;
    await rm(replica.dataDir, { recursive: true });
    replica.dataDir = '';
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const door of this.#doors) door.close();
    await Promise.all(this.#replicas.map(async ({ running }) => running?.stop('SIGKILL')));
  }
}

/** A port whose connections go to the replicas in turn, past those that do not run. */
async function serviceOf(
  replicas: readonly Replica[],
  clients: Set<net.Socket>,
  portIn: (replica: Replica) => number,
): Promise<net.Server> {
  let turn = 0;
  const server = net.createServer((client) => {
    clients.add(client);
    client.on('close', () => clients.delete(client));
    client.on('error', () => undefined);
    const ready = replicas.filter(({ running }) => running !== undefined);
    const chosen = ready[turn++ % Math.max(1, ready.length)];
    if (chosen === undefined) return void client.resetAndDestroy();
    const backend = net.connect(portIn(chosen), '127.0.0.1');
    for (const [from, to] of [
      [client, backend],
      [backend, client],
    ] as const) {
      from.setNoDelay();
      from.pipe(to);
      from.on('error', () => to.resetAndDestroy());
      from.on('close', () => to.destroy());
    }
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return server;
}

function portOf(server: net.Server): number {
  return (server.address() as AddressInfo).port;
}
