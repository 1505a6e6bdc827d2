import { Fault } from '../base/index.ts';
import type { Binary, Matching, NumberLiteral } from './ast.ts';
import { type Labels, labelsKey, type Matrix, noPoints, type Points } from './matrix.ts';

type Op = Binary['op'];
type Breathe = () => Promise<void> | undefined;
type Member = Matrix[number];

const comparisons: ReadonlySet<Op> = new Set(['==', '!=', '>', '<', '>=', '<=']);

/** Of two vectors, or a vector and a number. Source: Prometheus, "Operators". */
export async function binary(
  expression: Binary,
  left: Matrix | NumberLiteral,
  right: Matrix | NumberLiteral,
  breathe: Breathe,
): Promise<Matrix> {
  if ('kind' in left) {
    if ('kind' in right) throw new Error('assert: two numbers are one since the parser');
    return withNumber(expression, right, left.value, true, breathe);
  }
  if ('kind' in right) return withNumber(expression, left, right.value, false, breathe);
  const { op } = expression;
  if (op === 'and' || op === 'or' || op === 'unless') return sets(op, expression.matching, left, right, breathe);
  return matched(expression, left, right, breathe);
}

async function withNumber(
  { op, bool }: Binary,
  matrix: Matrix,
  number: number,
  isLeft: boolean,
  breathe: Breathe,
): Promise<Matrix> {
  const keepsName = comparisons.has(op) && !bool;
  const made: Member[] = [];
  for (const { labels, points } of matrix) {
    const result = noPoints(points.values.length);
    for (let step = 0; step < result.values.length; step++) {
      const pause = breathe();
      if (pause !== undefined) await pause;
      if (points.present[step] === 0) continue;
      const vector = points.values[step]!;
      // A filter gives the vector's value, on whichever side it stands.
      set(result, step, isLeft ? apply(op, bool, number, vector, vector) : apply(op, bool, vector, number, vector));
    }
    if (result.present.includes(1)) made.push({ labels: keepsName ? labels : withoutName(labels), points: result });
  }
  return merged(made);
}

/** One to one, many to one, one to many. */
async function matched({ op, bool, matching }: Binary, left: Matrix, right: Matrix, breathe: Breathe): Promise<Matrix> {
  const manyIsRight = matching.many === 'right';
  const [many, one] = manyIsRight ? [right, left] : [left, right];
  const ones = groups(one, matching);
  const made: Member[] = [];
  const seen = new Map<string, Points[]>();
  for (const member of many) {
    const key = matchKey(member.labels, matching);
    const partners = ones.get(key);
    if (partners === undefined) continue;
    const before = seen.get(key) ?? [];
    seen.set(key, before);
    for (const partner of partners) {
      const points = noPoints(member.points.values.length);
      for (let step = 0; step < points.values.length; step++) {
        const pause = breathe();
        if (pause !== undefined) await pause;
        if (member.points.present[step] === 0 || partner.points.present[step] === 0) continue;
        if (partners.some((other) => other !== partner && other.points.present[step] === 1)) throw doubled('one');
        if (matching.many === undefined && before.some(({ present }) => present[step] === 1)) throw doubled('many');
        const [a, b] = manyIsRight ? [partner, member] : [member, partner];
        const l = a.points.values[step]!;
        set(points, step, apply(op, bool, l, b.points.values[step]!, l));
      }
      if (points.present.includes(1)) {
        const keepsName = comparisons.has(op) && !bool;
        made.push({ labels: resultLabels(member.labels, partner.labels, matching, keepsName), points });
      }
    }
    before.push(member.points);
  }
  return merged(made);
}

function doubled(side: 'one' | 'many'): Fault {
  const why =
    side === 'one'
      ? 'found several series for one group of labels on the side of which only one may match'
      : 'several series match one: say group_left or group_right, or more labels';
  return new Fault('unprocessable', why, { parameter: 'query' });
}

async function sets(
  op: 'and' | 'or' | 'unless',
  matching: Matching,
  left: Matrix,
  right: Matrix,
  breathe: Breathe,
): Promise<Matrix> {
  const [kept, others] = op === 'or' ? [right, groups(left, matching)] : [left, groups(right, matching)];
  const wanted = op === 'and' ? 1 : 0;
  const made: Member[] = op === 'or' ? [...left] : [];
  for (const { labels, points } of kept) {
    const partners = others.get(matchKey(labels, matching)) ?? [];
    const result = noPoints(points.values.length);
    for (let step = 0; step < result.values.length; step++) {
      const pause = breathe();
      if (pause !== undefined) await pause;
      const other = partners.some((partner) => partner.points.present[step] === 1) ? 1 : 0;
      if (points.present[step] === 1 && other === wanted) set(result, step, points.values[step]);
    }
    if (result.present.includes(1)) made.push({ labels, points: result });
  }
  return merged(made);
}

function groups(matrix: Matrix, matching: Matching): ReadonlyMap<string, readonly Member[]> {
  const found = new Map<string, Member[]>();
  for (const member of matrix) {
    const key = matchKey(member.labels, matching);
    const group = found.get(key);
    if (group === undefined) found.set(key, [member]);
    else group.push(member);
  }
  return found;
}

function matchKey(labels: Labels, { on, labels: named }: Matching): string {
  return labelsKey(pick(labels, (name) => (on ? named.includes(name) : !named.includes(name) && name !== '__name__')));
}

function resultLabels(member: Labels, partner: Labels, matching: Matching, keepsName: boolean): Labels {
  const named = keepsName ? member : withoutName(member);
  if (matching.many === undefined) {
    return pick(named, (name) => (matching.on ? matching.labels.includes(name) : !matching.labels.includes(name)));
  }
  const labels: Record<string, string> = { ...named };
  for (const name of matching.include) {
    const value = partner[name];
    if (value === undefined) delete labels[name];
    else labels[name] = value;
  }
  return labels;
}

function apply(op: Op, bool: boolean, left: number, right: number, kept: number): number | undefined {
  switch (op) {
    case '+':
      return left + right;
    case '-':
      return left - right;
    case '*':
      return left * right;
    case '/':
      return left / right;
    case '%':
      return left % right;
    case '^':
      return power(left, right);
    case 'and':
    case 'or':
    case 'unless':
      throw new Error('assert: sets have no values');
    default: {
      const holds = compare(op, left, right);
      return bool ? Number(holds) : holds ? kept : undefined;
    }
  }
}

function compare(op: Op, left: number, right: number): boolean {
  switch (op) {
    case '==':
      return left === right;
    case '!=':
      return left !== right;
    case '>':
      return left > right;
    case '<':
      return left < right;
    case '>=':
      return left >= right;
    default:
      return left <= right;
  }
}

/** As Go's math.Pow, which differs from JavaScript's where the base is 1 or -1. */
function power(base: number, exponent: number): number {
  if (base === 1) return 1;
  return base === -1 && Math.abs(exponent) === Number.POSITIVE_INFINITY ? 1 : base ** exponent;
}

/** Of two numbers, when the query is read. A comparison of numbers is 0 or 1. */
export function ofNumbers(op: Op, left: number, right: number): number {
  return apply(op, true, left, right, left) ?? Number.NaN;
}

function set(points: Points, step: number, value: number | undefined): void {
  if (value === undefined) return;
  points.values[step] = value;
  points.present[step] = 1;
}

function withoutName({ __name__, ...labels }: Labels): Labels {
  return labels;
}

function pick(labels: Labels, keeps: (name: string) => boolean): Labels {
  return Object.fromEntries(Object.entries(labels).filter(([name]) => keeps(name)));
}

/**
 * Series that came to have the same labels are one where they never have a point at the same step.
 * @throws Fault `unprocessable` where they do.
 */
export function merged(matrix: Matrix): Matrix {
  const found = new Map<string, Member>();
  for (const member of matrix) {
    const key = labelsKey(member.labels);
    const before = found.get(key);
    if (before === undefined) {
      found.set(key, member);
      continue;
    }
    const points = { values: before.points.values.slice(), present: before.points.present.slice() };
    for (let step = 0; step < points.values.length; step++) {
      if (member.points.present[step] === 0) continue;
      if (points.present[step] === 1) {
        throw new Fault('unprocessable', 'two series of the answer have the same labels', { parameter: 'query' });
      }
      set(points, step, member.points.values[step]);
    }
    found.set(key, { labels: member.labels, points });
  }
  return [...found.values()];
}
