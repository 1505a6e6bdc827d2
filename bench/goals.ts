import type { Row } from './ingest.ts';
import type { SystemName } from './systems.ts';

/** One of ours against one of the Collector's, at the same load in the same run. */
export interface Ratio {
  readonly signal: Row['signal'];
  readonly protocol: Row['protocol'];
  readonly batch: number;
  readonly inFlight: number;
  readonly name: string;
  readonly value: number;
  readonly goal: string | undefined;
  readonly met: boolean | undefined;
}

type Quantity = 'CPU' | 'items/s';

/** What is compared, and what is to be reached where; `bound` undefined: shown only. */
const comparisons: readonly {
  ours: SystemName;
  peer: SystemName;
  quantity: Quantity;
  bound: (row: Row) => number | undefined;
}[] = [
  {
    ours: 'durable',
    peer: 'C0',
    quantity: 'CPU',
    bound: (row) => (row.inFlight >= 32 ? 0.7 : row.batch >= 1000 ? 0.6 : 0.9),
  },
  {
    ours: 'durable',
    peer: 'C0',
    quantity: 'items/s',
    bound: (row) => (row.inFlight >= 32 ? undefined : row.batch >= 1000 ? 1 : 0.7),
  },
  {
    ours: 'durable',
    peer: 'C2',
    quantity: 'items/s',
    bound: (row) => (row.inFlight < 32 && row.batch < 1000 ? 4 : undefined),
  },
  { ours: 'durable', peer: 'C1', quantity: 'CPU', bound: () => undefined },
  { ours: 'embedded', peer: 'C2', quantity: 'CPU', bound: () => 0.5 },
];

/** All comparisons for which both rows were measured. */
export function ratios(rows: readonly Row[]): Ratio[] {
  return rows.flatMap((ours) =>
    comparisons.flatMap((comparison): Ratio[] => {
      if (comparison.ours !== ours.system) return [];
      const peer = rows.find((row) => row.system === comparison.peer && sameLoad(row, ours));
      if (peer === undefined) return [];
      const key = comparison.quantity === 'CPU' ? 'cpuSecondsPerMillion' : 'itemsPerSecond';
      const value = ours[key] / peer[key];
      const bound = comparison.bound(ours);
      const less = comparison.quantity === 'CPU';
      return [
        {
          signal: ours.signal,
          protocol: ours.protocol,
          batch: ours.batch,
          inFlight: ours.inFlight,
          name: `${comparison.quantity} ${ours.system} / ${peer.system}`,
          value,
          goal: bound === undefined ? undefined : `${less ? '≤' : '≥'} ${bound}`,
          met: bound === undefined ? undefined : less ? value <= bound : value >= bound,
        },
      ];
    }),
  );
}

function sameLoad(left: Row, right: Row): boolean {
  return (
    left.signal === right.signal &&
    left.protocol === right.protocol &&
    left.batch === right.batch &&
    left.inFlight === right.inFlight
  );
}
