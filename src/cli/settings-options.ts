import { type Command, Option } from 'commander';
import { settings } from '../config/index.ts';

/** Adds a flag for each setting that has one, and `--config`. */
export function addSettings(command: Command): void {
  command.addOption(new Option('--config <file>', 'YAML file with settings').env('WATCHINGCAT_CONFIG').hideHelp(false));
  for (const setting of settings) {
    if (setting.flag === undefined) continue;
    const initial = setting.defaultText === undefined ? '' : ` (default: ${setting.defaultText})`;
    command.addOption(new Option(`${setting.flag} <value>`, `${firstSentence(setting.description)}${initial}`));
  }
}

/** The flags that were written, by their names, as `loadConfig` wants them. */
export function writtenFlags(command: Command): Record<string, string> {
  const flags: Record<string, string> = {};
  for (const option of command.options) {
    const name = option.attributeName();
    if (option.long === undefined || command.getOptionValueSource(name) !== 'cli') continue;
    const value: unknown = command.getOptionValue(name);
    if (typeof value === 'string') flags[option.long] = value;
  }
  return flags;
}

function firstSentence(text: string): string {
  return (/^[^.;:]*(?:\.\w[^.;:]*)*/.exec(text)?.[0] ?? text).replaceAll('`', '');
}
