import { isPlain, type Literal } from '../stores/filter.ts';
import { durationNanos } from './duration.ts';

const number = /^[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?$/;

/** A value that stood without quotes. */
export function bareLiteral(text: string): Literal {
  const value = number.test(text) ? Number(text) : undefined;
  return {
    text,
    number: Number.isFinite(value) ? value : undefined,
    durationNanos: durationNanos(text),
  };
}

/** A value that stood in quotes: text, whatever it looks like. */
export function quotedLiteral(text: string): Literal {
  return { text, number: undefined, durationNanos: undefined };
}

export function printLiteral(literal: Literal): string {
  const bare = bareLiteral(literal.text);
  const same = Object.is(bare.number, literal.number) && bare.durationNanos === literal.durationNanos;
  return same && isPlain(literal.text) ? literal.text : JSON.stringify(literal.text);
}
