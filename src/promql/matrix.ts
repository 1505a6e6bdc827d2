export type Labels = { readonly [name: string]: string };

/** A value for each step of the query, where there is one. */
export interface Points {
  readonly values: Float64Array;
  /** 1 where the step has a value: NaN is one. */
  readonly present: Uint8Array;
}

export type Matrix = readonly { readonly labels: Labels; readonly points: Points }[];

export function noPoints(steps: number): Points {
  return { values: new Float64Array(steps), present: new Uint8Array(steps) };
}

/** The same for equal sets of labels, in whichever order they come. */
export function labelsKey(labels: Labels): string {
  return JSON.stringify(Object.entries(labels).sort(([a], [b]) => (a < b ? -1 : 1)));
}
