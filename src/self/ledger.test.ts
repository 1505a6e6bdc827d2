import { describe, expect, it } from 'vitest';
import { type Clock, type Signal, systemClock } from '../base/index.ts';
import { PipelineLedger } from './ledger.ts';
import { chunksMax, dropGroupsMax, framesPerChunk, servicesMax } from './limits.ts';

function turned(): { clock: Clock; at(ms: number): void } {
  let nowMs = 1_000;
  return {
    clock: { ...systemClock, nowMs: () => nowMs, nowUnixNano: () => BigInt(nowMs) * 1_000_000n },
    at: (ms) => {
      nowMs = ms;
    },
  };
}

/** 'shop traces received 5 stored embedded 3': one line a flow, zeros left out. */
function drawn(ledger: PipelineLedger): string[] {
  return ledger.status().map((flow) => {
    const stages = (['received', 'rejected', 'refused'] as const)
      .filter((stage) => flow[stage].count > 0)
      .map((stage) => `${stage} ${flow[stage].count}`);
    const stored = Object.entries(flow.stored).map(([name, { count }]) => `stored ${name} ${count}`);
    return [flow.service || '-', flow.signal, ...stages, ...stored].join(' ');
  });
}

const through = (places: { [key: string]: number }) => (destination: string, signal: Signal) =>
  places[`${destination} ${signal}`] ?? 0;

describe('the ledger', () => {
  it('counts by service and signal, sorted by name', () => {
    const ledger = new PipelineLedger(turned().clock);
    ledger.received('shop', 'traces', 3, 1);
    ledger.received('cart', 'logs', 2, 1);
    ledger.received('shop', 'traces', 2, 2);
    ledger.received('shop', 'logs', 1, 2);
    ledger.refused('shop', 'traces', 7);
    ledger.rejected('metrics', 4, 'too old', 'up');
    expect(drawn(ledger)).toEqual([
      '- metrics rejected 4',
      'cart logs received 2',
      'shop logs received 1',
      'shop traces received 5 refused 7',
    ]);
  });

  it('says when something was last seen, and never where it was not', () => {
    const { clock, at } = turned();
    const ledger = new PipelineLedger(clock);
    at(5_000);
    ledger.received('shop', 'traces', 1, 1);
    expect(ledger.status()[0]).toMatchObject({
      received: { count: 1, lastSeenUnixNano: 5_000_000_000n },
      refused: { count: 0, lastSeenUnixNano: undefined },
    });
  });

  it('counts as stored what a destination has passed, for each destination by itself', () => {
    const ledger = new PipelineLedger(turned().clock);
    ledger.deliversTo('embedded', 'traces');
    ledger.deliversTo('otlp', 'traces');
    ledger.received('shop', 'traces', 3, 1);
    ledger.received('cart', 'traces', 4, 1 + framesPerChunk);
    ledger.advance(through({ 'embedded traces': 1 + framesPerChunk, 'otlp traces': 1 }));
    expect(drawn(ledger)).toEqual([
      'cart traces received 4 stored embedded 4',
      'shop traces received 3 stored embedded 3 stored otlp 3',
    ]);
    ledger.advance(through({ 'embedded traces': 1 + framesPerChunk, 'otlp traces': 1 + framesPerChunk }));
    ledger.advance(through({ 'embedded traces': 9_999, 'otlp traces': 9_999 }));
    expect(drawn(ledger)[0]).toBe('cart traces received 4 stored embedded 4 stored otlp 4');
  });

  it('counts for each destination all that it has passed, also where a slower one holds up what was received before', () => {
    const ledger = new PipelineLedger(turned().clock);
    ledger.deliversTo('jaeger', 'traces');
    ledger.deliversTo('otlp', 'traces');
    for (let seq = 1; seq <= 5; seq++) {
      ledger.received('shop', 'traces', 10, seq);
      ledger.advance(through({ 'jaeger traces': seq, 'otlp traces': 0 }));
    }
    expect(drawn(ledger)).toEqual(['shop traces received 50 stored jaeger 50']);
    ledger.advance(through({ 'jaeger traces': 5, 'otlp traces': 5 }));
    expect(drawn(ledger)).toEqual(['shop traces received 50 stored jaeger 50 stored otlp 50']);
  });

  it('in the end all that was received is stored, however many frames wait', () => {
    const ledger = new PipelineLedger(turned().clock);
    ledger.deliversTo('embedded', 'logs');
    const frames = framesPerChunk * (chunksMax + 100);
    for (let seq = 1; seq <= frames; seq += framesPerChunk) ledger.received(`s${seq % 3}`, 'logs', 1, seq);
    ledger.advance(through({ 'embedded logs': frames }));
    for (const flow of ledger.status()) expect(flow.stored['embedded']?.count).toBe(flow.received.count);
  });

  it('has a bound: later services are counted together', () => {
    const ledger = new PipelineLedger(turned().clock);
    for (let index = 0; index < servicesMax + 50; index++) ledger.received(`service-${index}`, 'traces', 1, index + 1);
    const flows = ledger.status();
    expect(flows.length).toBeLessThanOrEqual(servicesMax + 1);
    expect(flows.reduce((sum, flow) => sum + flow.received.count, 0)).toBe(servicesMax + 50);
    expect(flows.find((flow) => flow.service === '')?.received.count).toBeGreaterThanOrEqual(50);
  });
});

describe('dropped records', () => {
  it('are grouped by signal, stage and reason, the latest group first, with the first sample', () => {
    const { clock, at } = turned();
    const ledger = new PipelineLedger(clock);
    ledger.dropped('logs', 'deliver/otlp', 'too large', 2, { protocol: 'grpc' });
    at(2_000);
    ledger.dropped('traces', 'receive', 'bad id', 1, {});
    at(3_000);
    ledger.dropped('logs', 'deliver/otlp', 'too large', 5, { protocol: 'http/json' });
    expect(ledger.drops()).toEqual([
      {
        signal: 'logs',
        stage: 'deliver/otlp',
        reason: 'too large',
        count: 7,
        lastSeenUnixNano: 3_000_000_000n,
        sample: { protocol: 'grpc' },
      },
      { signal: 'traces', stage: 'receive', reason: 'bad id', count: 1, lastSeenUnixNano: 2_000_000_000n, sample: {} },
    ]);
  });
  it('have a bound: the group that was seen least recently goes', () => {
    const ledger = new PipelineLedger(turned().clock);
    for (let index = 0; index < dropGroupsMax; index++) ledger.dropped('logs', 'receive', `reason ${index}`, 1, {});
    ledger.dropped('logs', 'receive', 'reason 0', 1, {});
    ledger.dropped('logs', 'receive', 'one more', 1, {});
    const reasons = ledger.drops().map(({ reason }) => reason);
    expect(reasons).toHaveLength(dropGroupsMax);
    expect(reasons.slice(0, 2)).toEqual(['one more', 'reason 0']);
    expect(reasons).not.toContain('reason 1');
  });
});
