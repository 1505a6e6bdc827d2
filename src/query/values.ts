import type { Field, Filter, Literal } from '../stores/filter.ts';
import type { Scanner } from './scan.ts';

type Op = Extract<Filter, { kind: 'compare' }>['op'];

/** What an intrinsic of a closed set may be compared with. */
const closed = {
  status: ['unset', 'ok', 'error'],
  kind: ['internal', 'server', 'client', 'producer', 'consumer', 'unspecified'],
} as const;
const severities = ['trace', 'debug', 'info', 'warn', 'error', 'fatal'];
const spelling = { status: closed.status.join(', '), kind: closed.kind.join(', ') };

/**
 * Refuses what could never be true for want of sense, so that a slip does not look like an empty answer.
 * @param at    Index of the value.
 * @param scan  Makes the Fault.
 * @throws Fault `malformed`.
 */
export function checkComparison(field: Field, op: Op, value: Literal, at: number, scan: Scanner): void {
  const ordered = op !== '=' && op !== '!=';
  if (field.scope !== 'intrinsic') {
    if (ordered && value.number === undefined) throw scan.expected(`a number after ${op}`, at, numberHint(value));
    return;
  }
  switch (field.name) {
    case 'duration':
      if (value.durationNanos === undefined) throw scan.expected('a duration such as 250ms or 1.5s', at);
      return;
    case 'severity':
      if (!ordered && value.text.toLowerCase() === 'unset') return;
      if (!isSeverity(value)) throw scan.expected(`a severity: ${severities.join(', ')}, or a number 0 to 24`, at);
      return;
    case 'status':
    case 'kind':
      if (ordered) throw scan.expected(`= or != for ${field.name}`, at);
      if (!(closed[field.name] as readonly string[]).includes(value.text.toLowerCase())) {
        throw scan.expected(`a ${field.name}: ${spelling[field.name]}`, at);
      }
      return;
    case 'trace_id':
    case 'span_id':
      if (ordered) throw scan.expected(`= or != for ${field.name}`, at);
      return;
    default:
      if (ordered && value.number === undefined) throw scan.expected(`a number after ${op}`, at, numberHint(value));
  }
}

/**
 * Refuses a pattern on what is compared by number, and what RE2 leaves out by design. The rest of RE2's syntax is the
 * store's to judge.
 */
export function checkRegex(field: Field, pattern: string, at: number, scan: Scanner): void {
  if (field.scope === 'intrinsic' && (field.name === 'duration' || field.name === 'severity')) {
    throw scan.expected(`a comparison such as ${field.name}>=${field.name === 'duration' ? '250ms' : 'warn'}`, at);
  }
  const outsideClass = pattern.replaceAll(/\\Q.*?(\\E|$)|\[\^?\]?(\\.|\[:\w+:\]|[^\]\\])*\]/gs, '');
  if (/^(\\.|[^\\])*?\(\?<?[=!]/s.test(outsideClass))
    throw scan.expected('no lookahead or lookbehind in a regular expression', at, '(RE2 syntax)');
  if (/^(\\[^1-9]|[^\\])*?\\[1-9]/s.test(outsideClass))
    throw scan.expected('no backreference in a regular expression', at, '(RE2 syntax)');
}

function isSeverity(value: Literal): boolean {
  if (value.number === undefined) return severities.includes(value.text.toLowerCase());
  return Number.isInteger(value.number) && value.number >= 0 && value.number <= 24;
}

function numberHint(value: Literal): string {
  if (value.durationNanos !== undefined) return '; only the duration of a span is compared with a duration';
  return /^[+-]?[\d.]+$/.test(value.text) ? '; a number stands without quotes' : '';
}
