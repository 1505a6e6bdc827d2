import { parse } from 'yaml';
import { chartFile, type Value } from './values.ts';

/** images.txt: every image that the chart can pull, for those who mirror them. One a line, sorted. */
export function imageList(values: readonly Value[]): string {
  const { appVersion } = parse(chartFile('Chart.yaml')) as { appVersion: string };
  return `${[...new Set(images(values, appVersion))].sort().join('\n')}\n`;
}

function images(values: readonly Value[], appVersion: string): string[] {
  return values.flatMap(({ key, children, default: value }) => {
    if (key !== 'image') return images(children ?? [], appVersion);
    const { registry, repository, tag, digest } = value as Record<'registry' | 'repository' | 'tag' | 'digest', string>;
    return [`${registry}/${repository}:${tag === '' ? appVersion : tag}${digest === '' ? '' : `@${digest}`}`];
  });
}
