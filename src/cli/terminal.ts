import { exitCodes } from './failure.ts';

// Data goes to stdout, talk to stderr, so that a pipe carries data alone.

export interface Terminal {
  /** A line of data. */
  print(line: string): void;
  /** A line of talk; nothing when quiet. */
  say(line: string): void;
  /** A line of talk that is shown even when quiet: what went wrong. */
  complain(line: string): void;
  readonly paint: Paint;
  /** Columns of the terminal; undefined where stdout is none. */
  readonly columns: number | undefined;
  readonly env: NodeJS.ProcessEnv;
}

const styles = {
  bold: [1, 22],
  dim: [2, 22],
  red: [31, 39],
  green: [32, 39],
  yellow: [33, 39],
  cyan: [36, 39],
} as const;
export type Style = keyof typeof styles;
/** Colours a text, where colours are wanted. */
export type Paint = (style: Style, text: string) => string;

/** The process's own terminal. A reader that goes away (`| head`) ends the process without a word. */
export function openTerminal(quiet: boolean): Terminal {
  for (const stream of [process.stdout, process.stderr]) {
    stream.on('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'EPIPE') process.exit(exitCodes.ok);
      throw error;
    });
  }
  const colours = wantsColour(process.env, process.stdout.isTTY);
  return {
    print: (line) => void process.stdout.write(`${line}\n`),
    say: (line) => void (quiet || process.stderr.write(`${line}\n`)),
    complain: (line) => void process.stderr.write(`${line}\n`),
    paint: colours
      ? (style, text) => `\u001b[${styles[style][0]}m${text}\u001b[${styles[style][1]}m`
      : (_, text) => text,
    columns: process.stdout.isTTY ? process.stdout.columns : undefined,
    env: process.env,
  };
}

/** @see no-color.org, force-color.org */
export function wantsColour(env: NodeJS.ProcessEnv, isTerminal: boolean): boolean {
  if (env['NO_COLOR']) return false;
  if (env['FORCE_COLOR'] && env['FORCE_COLOR'] !== '0') return true;
  return isTerminal && env['TERM'] !== 'dumb';
}
