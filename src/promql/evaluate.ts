import { Fault } from '../base/index.ts';
import { aggregate, refuseDoubles } from './aggregate.ts';
import type { Binary, Expression, LabelJoin, MatrixSelector, Rate, VectorExpression, VectorSelector } from './ast.ts';
import { binary, merged } from './binary.ts';
import { answerPointsMax, lookbackMs, pointsMax } from './limits.ts';
import { labelsKey, type Matrix, noPoints } from './matrix.ts';
import { rate, resets } from './rate.ts';
import { type Series, type SeriesReader, staleAt, withoutStale } from './series.ts';

/** What an evaluation needs from outside. */
export interface Surroundings {
  readonly reader: SeriesReader;
  readonly samplesMax: number;
  readonly cancel: AbortSignal;
  /** Called often; gives the thread to others for a moment when it returns a promise, and throws when cancelled. */
  readonly breathe: () => Promise<void> | undefined;
}

/** Both ends inclusive. */
export interface Steps {
  readonly startMs: number;
  readonly endMs: number;
  readonly stepMs: number;
}

/** An instant query's answer: one point a series for a vector, the samples of the range for a matrix. Sorted by labels. */
export async function evaluateInstant(
  expression: Expression,
  timeMs: number,
  surroundings: Surroundings,
): Promise<{ readonly type: 'vector' | 'matrix'; readonly series: readonly Series[] }> {
  if (expression.kind === 'matrix') {
    return { type: 'matrix', series: await rangeVector(expression, timeMs, surroundings) };
  }
  const steps = { startMs: timeMs, endMs: timeMs, stepMs: 1 };
  return { type: 'vector', series: await answer(await evaluate(expression, steps, surroundings), steps, surroundings) };
}

/**
 * A range query's answer, sorted by labels.
 * @throws Fault `malformed` with the parameter `step` for more than 11,000 points a series; with `query` for a range vector.
 */
export async function evaluateRange(
  expression: Expression,
  steps: Steps,
  surroundings: Surroundings,
): Promise<readonly Series[]> {
  if (expression.kind === 'matrix') {
    throw new Fault('malformed', 'expected an expression that gives an instant vector, found a range vector', {
      parameter: 'query',
    });
  }
  if (stepCount(steps) > pointsMax) {
    throw new Fault('malformed', `expected a step that gives at most ${pointsMax} points a series`, {
      parameter: 'step',
    });
  }
  return answer(await evaluate(expression, steps, surroundings), steps, surroundings);
}

function stepCount({ startMs, endMs, stepMs }: Steps): number {
  return Math.floor((endMs - startMs) / stepMs) + 1;
}

function evaluate(expression: VectorExpression, steps: Steps, surroundings: Surroundings): Promise<Matrix> {
  switch (expression.kind) {
    case 'vector':
      return instantVector(expression, steps, surroundings);
    case 'rate':
      return rates(expression, steps, surroundings);
    case 'aggregation':
      return evaluate(expression.of, steps, surroundings).then((matrix) =>
        aggregate(expression, matrix, surroundings.breathe),
      );
    case 'labelJoin':
      return evaluate(expression.of, steps, surroundings).then((matrix) => labelJoin(expression, matrix));
    case 'binary':
      return binaryOf(expression, steps, surroundings);
  }
}

async function binaryOf(expression: Binary, steps: Steps, surroundings: Surroundings): Promise<Matrix> {
  const { left, right } = expression;
  return binary(
    expression,
    left.kind === 'number' ? left : await evaluate(left, steps, surroundings),
    right.kind === 'number' ? right : await evaluate(right, steps, surroundings),
    surroundings.breathe,
  );
}

function labelJoin({ target, separator, sources }: LabelJoin, matrix: Matrix): Matrix {
  return merged(
    matrix.map(({ labels, points }) => {
      const { [target]: _, ...rest } = labels;
      const value = sources.map((name) => labels[name] ?? '').join(separator);
      return { labels: value === '' ? rest : { ...rest, [target]: value }, points };
    }),
  );
}

/** At each step the last sample of (step - 5 min, step], unless it is a staleness marker. */
async function instantVector({ matchers }: VectorSelector, steps: Steps, surroundings: Surroundings): Promise<Matrix> {
  const found = await select(matchers, steps, lookbackMs, 'stored', surroundings);
  return eachSeries(found, steps, surroundings, (series) => {
    const isStale = staleAt(series.values);
    let at = -1;
    return (timeMs) => {
      while (at + 1 < series.values.length && series.timestampsMs[at + 1]! <= timeMs) at++;
      if (at < 0 || series.timestampsMs[at]! <= timeMs - lookbackMs || isStale(at)) return undefined;
      return series.values[at];
    };
  });
}

async function rates({ of }: Rate, steps: Steps, surroundings: Surroundings): Promise<Matrix> {
  const found = await select(of.matchers, steps, of.rangeMs, 'range', surroundings);
  const matrix = await eachSeries(found.map(withoutStale), steps, surroundings, (series) => {
    const resetAt = resets(series);
    let from = 0;
    let to = 0;
    return (timeMs) => {
      while (to < series.values.length && series.timestampsMs[to]! <= timeMs) to++;
      while (from < to && series.timestampsMs[from]! <= timeMs - of.rangeMs) from++;
      return rate(series, resetAt, from, to, timeMs, of.rangeMs);
    };
  });
  return refuseDoubles(matrix.map(({ labels: { __name__, ...labels }, points }) => ({ labels, points })));
}

/** @param at Makes, for one series, what gives its value at each step; called with rising times. */
async function eachSeries(
  found: readonly Series[],
  steps: Steps,
  { breathe }: Surroundings,
  at: (series: Series) => (timeMs: number) => number | undefined,
): Promise<Matrix> {
  const count = stepCount(steps);
  if (count * found.length > answerPointsMax) {
    throw new Fault(
      'unprocessable',
      `the query makes more than ${answerPointsMax} points; ask for fewer series or steps`,
      {
        parameter: 'query',
      },
    );
  }
  const matrix = [];
  for (const series of found) {
    const value = at(series);
    const points = noPoints(count);
    let any = false;
    for (let step = 0; step < count; step++) {
      const pause = breathe();
      if (pause !== undefined) await pause;
      const found = value(steps.startMs + step * steps.stepMs);
      if (found === undefined) continue;
      points.values[step] = found;
      points.present[step] = 1;
      any = true;
    }
    if (any) matrix.push({ labels: series.labels, points });
  }
  return matrix;
}

async function rangeVector(
  { matchers, rangeMs }: MatrixSelector,
  timeMs: number,
  surroundings: Surroundings,
): Promise<readonly Series[]> {
  const steps = { startMs: timeMs, endMs: timeMs, stepMs: 1 };
  const found = await select(matchers, steps, rangeMs, 'stored', surroundings);
  return sortedByLabels(found.map(withoutStale).filter(({ values }) => values.length > 0));
}

/** Windows are open at their left: nothing at exactly start - window is asked for. */
function select(
  matchers: VectorSelector['matchers'],
  { startMs, endMs }: Steps,
  windowMs: number,
  deltasFrom: 'stored' | 'range',
  { reader, samplesMax, cancel }: Surroundings,
): Promise<readonly Series[]> {
  return reader.select({ matchers, startMs: startMs - windowMs + 1, endMs, samplesMax, deltasFrom }, cancel);
}

/** Without the steps that have no value. */
async function answer(matrix: Matrix, steps: Steps, { breathe }: Surroundings): Promise<readonly Series[]> {
  const series: Series[] = [];
  for (const { labels, points } of matrix) {
    const timestampsMs = new Float64Array(points.values.length);
    const values = new Float64Array(points.values.length);
    let count = 0;
    for (let step = 0; step < points.values.length; step++) {
      const pause = breathe();
      if (pause !== undefined) await pause;
      if (points.present[step] === 0) continue;
      timestampsMs[count] = steps.startMs + step * steps.stepMs;
      values[count++] = points.values[step]!;
    }
    series.push({ labels, timestampsMs: timestampsMs.subarray(0, count), values: values.subarray(0, count) });
  }
  return sortedByLabels(series);
}

/** Keys are made once: labels are many, and comparisons more. */
function sortedByLabels(series: readonly Series[]): readonly Series[] {
  const keyed = series.map((each) => ({ each, key: labelsKey(each.labels) }));
  return keyed.sort((a, b) => (a.key < b.key ? -1 : a.key > b.key ? 1 : 0)).map(({ each }) => each);
}
