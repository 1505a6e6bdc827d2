import { setTimeout as sleep } from 'node:timers/promises';

// What a real Prometheus holds, asked by its own API.

interface Member {
  readonly metric: Readonly<Record<string, string>>;
  readonly values?: readonly (readonly [number, string])[];
  readonly histograms?: readonly (readonly [number, unknown])[];
}

/** Every sample of what a selector matches, by series as text: `name{label="value",…}` → [Unix seconds, value or histogram][]. */
export async function samplesIn(
  url: string,
  selector: string,
  lastingSeconds = 7 * 86_400,
): Promise<Map<string, readonly unknown[]>> {
  const now = Math.ceil(Date.now() / 1000) + 700;
  const form = new URLSearchParams({ query: `${selector}[${lastingSeconds}s]`, time: String(now) });
  const members = (await get(`${url}/api/v1/query?${form}`)) as { result: readonly Member[] };
  return new Map(
    members.result
      .map(({ metric, values = [], histograms = [] }) => [textOf(metric), [...values, ...histograms]] as const)
      .sort(([a], [b]) => (a < b ? -1 : 1)),
  );
}

/** Exemplars by series as text. */
export async function exemplarsIn(url: string, selector: string): Promise<Map<string, readonly unknown[]>> {
  const now = Date.now() / 1000;
  const form = new URLSearchParams({ query: selector, start: String(now - 86_400), end: String(now + 700) });
  const found = (await get(`${url}/api/v1/query_exemplars?${form}`)) as {
    seriesLabels: Record<string, string>;
    exemplars: unknown[];
  }[];
  return new Map(
    found
      .map(({ seriesLabels, exemplars }) => [textOf(seriesLabels), exemplars] as const)
      .sort(([a], [b]) => (a < b ? -1 : 1)),
  );
}

function textOf(metric: Readonly<Record<string, string>>): string {
  return Object.entries(metric)
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([name, value]) => `${name}=${JSON.stringify(value)}`)
    .join(',');
}

async function get(url: string): Promise<unknown> {
  for (let attempt = 0; ; attempt++) {
    const response = await fetch(url);
    const body = (await response.json()) as { status: string; data: unknown; error?: string };
    if (body.status === 'success') return body.data;
    // While it starts it answers 503.
    if (response.status !== 503 || attempt === 50) throw new Error(`Prometheus: ${body.error}`);
    await sleep(100);
  }
}
