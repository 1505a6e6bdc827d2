// Writes the documents that are generated from code. A test says when they are out of date.
import { writeFileSync } from 'node:fs';
import { configReference } from '../src/config/index.ts';

writeFileSync(new URL('../docs/configuration.md', import.meta.url), configReference());
