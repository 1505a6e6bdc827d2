import { z } from 'zod';
import { yaml } from '../base/index.ts';
import type { Inspection } from './load.ts';
import { configSchema, type Setting, settings } from './schema.ts';

/** One setting as it is in effect. */
export interface Effective {
  readonly setting: Setting;
  /** As it was written, or its default; `(secret)` for a secret that is set; undefined where there is none. */
  readonly value: string | undefined;
  /** `default`, a variable, a flag, or `file:line`. */
  readonly origin: string;
}

/** Every setting with its value and where that came from; no secret among them. */
export function effectiveSettings({ written }: Inspection): readonly Effective[] {
  return settings.map((setting) => {
    const found = written.get(setting.path);
    if (found === undefined) return { setting, value: setting.defaultText, origin: 'default' };
    const value = typeof found.value === 'object' ? JSON.stringify(found.value) : String(found.value);
    return { setting, value: setting.secret ? '(secret)' : value, origin: found.origin };
  });
}

/** JSON Schema of the YAML file, for editors. */
export function configJsonSchema(): object {
  return z.toJSONSchema(configSchema, { io: 'input' });
}

/** The reference in docs/configuration.md. */
export function configReference(): string {
  const rows = settings.map(({ path, env, flag, defaultText, description, secret }) => {
    const initial =
      defaultText === undefined
        ? '–'
        : /^[a-zA-Z. ,]+ [a-zA-Z. ,]+$/.test(defaultText)
          ? defaultText
          : `\`${defaultText}\``;
    const names = [`\`${path}\``, `\`${env}\``, ...(flag === undefined ? [] : [`\`${flag}\``])].join('<br>');
    return `| ${names} | ${initial} | ${description}${secret ? ' Secret: no flag, hidden in every output.' : ''} |`;
  });
  return `# Configuration

WatchingCat needs no configuration. What is set counts in rising order: defaults, a YAML file, environment, flags.

- The file is named by \`--config\` or \`WATCHINGCAT_CONFIG\`. Relative paths in it are relative to it.
- An empty variable counts as not set.
- An unknown key, variable or flag, or a bad value, stops the start: the message has the setting, where it was set, and what was expected.
- \`watchingcat config print\` shows what is in effect and where it came from, \`watchingcat config check\` only checks,
  \`watchingcat config schema\` prints a JSON Schema for editors.
- Durations: \`7d\`, \`12h\`, \`1d12h\`, \`30m\`, \`250ms\`. Sizes: \`4GiB\`, \`512Mi\`, \`1GB\`, or bytes.
- Secrets have no flag, as every user of a machine can read another's arguments. Mount them as files, or set the variable.

${'```'}yaml
${yaml().stringify(example).trim()}
${'```'}

| setting, variable, flag | default | meaning |
| --- | --- | --- |
${rows.join('\n')}

The commands that read an instance take its address from \`--endpoint\` or \`WATCHINGCAT_ENDPOINT\`.

This page is generated from the schema: \`npm run docs\`.
`;
}

const example = {
  host: '127.0.0.1',
  dataDir: '/var/lib/watchingcat',
  retention: { traces: '3d', logs: '14d' },
  forward: { otlpEndpoint: 'https://collector.example:4317', otlpHeadersFile: '/run/secrets/otlp-headers' },
  cluster: { name: 'production' },
};
