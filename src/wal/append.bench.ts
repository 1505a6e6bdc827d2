import { randomBytes } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { systemClock } from '../base/index.ts';
import { openLog, openLogReader } from './index.ts';

// Cost of appending and reading back requests of 40 kB: `node src/wal/append.bench.ts [folder]`.

const bodyBytes = 40_000;
const seconds = 3;
const folder = await mkdtemp(join(process.argv[2] ?? tmpdir(), 'wal-bench-'));
const body = randomBytes(bodyBytes);
try {
  for (const inFlight of [1, 4, 32]) {
    const dir = join(folder, String(inFlight));
    await using log = await openLog({ dir, signal: 'traces', maxBytes: 2 ** 34, clock: systemClock });
    const latencies: number[] = [];
    let groups = 0;
    log.onDurable(() => groups++);
    const endMs = performance.now() + 1000 * seconds;
    const cpu = process.cpuUsage();
    const startMs = performance.now();
    const client = async () => {
      while (performance.now() < endMs) {
        const before = performance.now();
        await log.append({
          tenant: '',
          digest: randomBytes(16),
          receivedUnixNano: systemClock.nowUnixNano(),
          records: 100,
          pieces: [body.subarray(0, 100), body.subarray(100, 20_000), body.subarray(20_000)],
          answer: { rejected: 0, message: '' },
          recognise: true,
        });
        latencies.push(performance.now() - before);
      }
    };
    await Promise.all(Array.from({ length: inFlight }, client));
    const tookMs = performance.now() - startMs;
    const { user, system } = process.cpuUsage(cpu);
    latencies.sort((a, b) => a - b);
    const count = latencies.length;
    const at = (share: number) => latencies[Math.floor(share * (count - 1))]!.toFixed(2);

    const readCpu = process.cpuUsage();
    const readMs = performance.now();
    await using reader = await openLogReader({ dir });
    let read = 0;
    for (let after = 0; after < log.durableSeq; ) {
      const batch = await reader.read(after, log.durableSeq, { bytesMax: 2 ** 20, recordsMax: 10_000 });
      read += batch.frames.length;
      after = batch.skippedThrough;
    }
    const readTook = performance.now() - readMs;
    const readUsed = process.cpuUsage(readCpu);
    console.log(
      `${String(inFlight).padStart(2)} in flight: ${Math.round((1000 * count) / tookMs)}/s, ` +
        `${((user + system) / count).toFixed(0)} µs CPU an append (user ${(user / count).toFixed(0)}), ` +
        `${(count / groups).toFixed(1)} a write, p50 ${at(0.5)} p99 ${at(0.99)} ms; ` +
        `read ${Math.round((1000 * read) / readTook)}/s, ${((readUsed.user + readUsed.system) / read).toFixed(0)} µs`,
    );
  }
} finally {
  await rm(folder, { recursive: true });
}
