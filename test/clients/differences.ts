import type { Case } from './corpus.ts';

/** What one side said to one body. */
export interface Answer {
  readonly accepted: boolean;
  readonly rejected: number;
  readonly message: string;
}

/** Why we accept what the Collector (0.152.0) refuses, or the other way round. The first row that fits is the reason. */
const differences: readonly {
  readonly reason: string;
  readonly fits: (one: Case, theirs: Answer, ours: Answer) => boolean;
}[] = [
  {
    reason: 'An id of a wrong length: the Collector loses the whole request, we reject that span and keep the others.',
    fits: (one, theirs, ours) =>
      /invalid length for (SpanID|TraceID)/i.test(theirs.message) &&
      ours.accepted &&
      (one.signal !== 'traces' || ours.rejected > 0),
  },
];

/** The reason for a difference; undefined where there is none. */
export function expectedDifference(one: Case, theirs: Answer, ours: Answer): string | undefined {
  return differences.find((row) => row.fits(one, theirs, ours))?.reason;
}
