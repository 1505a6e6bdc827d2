/**
 * How many cases a property is tried with: `all` in `.ci/run`, which sets PROPERTY_RUNS=all, and a fifth of them elsewhere, other
 * ones each time. For properties whose cases cost a tenth of a second together, it is not worth while.
 */
export function runs(all: number): number {
  return process.env['PROPERTY_RUNS'] === 'all' ? all : Math.ceil(all / 5);
}
