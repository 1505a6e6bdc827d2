import { startPrometheus } from '../test/kit/backends.ts';
import type { BenchBackend, DestinationBench } from './destinations.ts';

/** A Prometheus for each writer, as their series are the same. */
export const prometheus: DestinationBench = {
  signal: 'metrics',
  goal: { against: 'prometheusremotewrite', cpuRatioMax: 1 },
  async start(): Promise<BenchBackend> {
    const [ours, peers] = [await startPrometheus(), await startPrometheus()];
    const counts = { ours: new StoredPoints(ours.url), peers: new StoredPoints(peers.url) };
    return {
      env: { WATCHINGCAT_PROMETHEUS_REMOTE_WRITE_URL: ours.remoteWriteUrl },
      // Its defaults, but that it retries for ever, so that a run in which it is slower than its input loses nothing.
      peers: {
        prometheusremotewrite: `{prometheusremotewrite: {endpoint: "${peers.remoteWriteUrl}", retry_on_failure: {enabled: true, max_elapsed_time: 0}}}`,
      },
      stored: (by) => (by === 'ours' ? counts.ours : counts.peers).count(),
      async [Symbol.asyncDispose]() {
        await ours[Symbol.asyncDispose]();
        await peers[Symbol.asyncDispose]();
      },
    };
  },
};

/**
 * Data points that a Prometheus has: samples of gauges and sums, and of the `_count` of histograms. Counting them costs
 * it CPU that the writers need, so they are counted only while nothing arrives.
 */
class StoredPoints {
  readonly #url: string;
  #appended = -1;
  #counted = 0;

  constructor(url: string) {
    this.#url = url;
  }

  async count(): Promise<number> {
    const text = await (await fetch(`${this.#url}/metrics`)).text();
    const appended = Number(/^prometheus_tsdb_head_samples_appended_total\{type="float"\} (\S+)/m.exec(text)?.[1] ?? 0);
    if (appended !== this.#appended) {
      this.#appended = appended;
      return this.#counted;
    }
    const names = (await this.#get('label/__name__/values', {})) as string[];
    let counted = 0;
    for (const name of names.filter((each) => !/_(bucket|sum)$|^target_info$/.test(each))) {
      const query = `sum(count_over_time({__name__="${name}"}[2h]))`;
      const { result } = (await this.#get('query', { query })) as { result: { value: [number, string] }[] };
      counted += Number(result[0]?.value[1] ?? 0);
    }
    this.#counted = counted;
    return this.#counted;
  }

  async #get(path: string, form: Record<string, string>): Promise<unknown> {
    const answer = await fetch(`${this.#url}/api/v1/${path}?${new URLSearchParams(form)}`);
    const { data, error } = (await answer.json()) as { data?: unknown; error?: string };
    if (data === undefined) throw new Error(`Prometheus: ${error}`);
    return data;
  }
}
