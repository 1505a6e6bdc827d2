import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** Root of the repository. */
export const repository = fileURLToPath(new URL('../..', import.meta.url));

/** A fenced block of commands in a document. */
export interface Block {
  readonly file: string;
  /** Of its first line, counted from 1. */
  readonly line: number;
  readonly section: string;
  readonly code: string;
  /** What it says of itself in its first line: `# not run by the tests: <reason>`. */
  readonly notRun: string | undefined;
}

/**
 * The blocks of commands, those that are fenced as `sh`, in their order.
 * @param file     path in the repository.
 * @param section  only those under this heading; all where it is not given.
 */
export function blocksOf(file: string, section?: string): Block[] {
  const blocks: Block[] = [];
  const lines = readFileSync(join(repository, file), 'utf8').split('\n');
  let heading = '';
  for (let at = 0; at < lines.length; at++) {
    heading = /^#+ (.*)$/.exec(lines[at]!)?.[1] ?? heading;
    if (!lines[at]!.startsWith('```')) continue;
    const isCommands = lines[at] === '```sh';
    const end = lines.indexOf('```', at + 1);
    if (end < 0) throw new Error(`${file}:${at + 1}: a block that does not end`);
    const code = lines.slice(at + 1, end).join('\n');
    if (isCommands && (section === undefined || heading === section)) {
      const notRun = /^# not run by the tests: (.+)/.exec(code)?.[1];
      blocks.push({ file, line: at + 2, section: heading, code, notRun });
    }
    at = end;
  }
  return blocks;
}
