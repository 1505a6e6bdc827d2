import { imageList } from './images.ts';
import { withReference } from './reference.ts';
import { valuesSchema } from './schema.ts';
import { chartFile, movedValues, readValues } from './values.ts';

/** The chart's generated files, by name: what they should hold. */
export function chartDocuments(): ReadonlyMap<string, string> {
  const values = readValues(chartFile('values.yaml'));
  return new Map([
    ['values.schema.json', valuesSchema(values, movedValues())],
    ['images.txt', imageList(values)],
    ['README.md', withReference(chartFile('README.md'), values)],
  ]);
}
