/**
 * How many cases a property is tried with: `all` in `.ci/run`, which sets PROPERTY_RUNS=all, and a fifth of them elsewhere, other
 * ones each time. For properties whose cases cost a tenth of a second together, it is not worth while.
 */
export function runs(all: number): number {
  return isWhole() ? all : Math.ceil(all / 5);
}

/**
 * Places at which something is to happen, `step` apart, without an end: all in `.ci/run`, every third of them elsewhere, other ones
 * each time.
 */
export function* placesApart(step: number): Generator<number> {
  const [first, apart] = isWhole() ? [0, step] : [step * Math.floor(Math.random() * 3), 3 * step];
  for (let place = first; ; place += apart) yield place;
}

function isWhole(): boolean {
  return process.env['PROPERTY_RUNS'] === 'all';
}
