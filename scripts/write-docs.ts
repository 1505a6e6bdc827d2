// Writes the documents that are generated from code and from the chart's values. Tests say when they are out of date.
import { writeFileSync } from 'node:fs';
import { configReference } from '../src/config/index.ts';
import { chartDocuments } from './chart/documents.ts';
import { chartFolder } from './chart/values.ts';

writeFileSync(new URL('../docs/configuration.md', import.meta.url), configReference());
for (const [name, text] of chartDocuments()) writeFileSync(new URL(name, chartFolder), text);
