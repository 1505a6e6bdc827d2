// Names by the Prometheus OTLP translation, so that a query that works on a real Prometheus works on the embedded store.
// Source of the rules: prometheus/otlptranslator v1.0.0 and the settings with which Prometheus calls it.

/** As Prometheus' `otlp.translation_strategy` names them; the first is its default, and ours. */
export const translationStrategies = [
  'UnderscoreEscapingWithSuffixes',
  'UnderscoreEscapingWithoutSuffixes',
  'NoUTF8EscapingWithSuffixes',
  'NoTranslation',
] as const;
export type TranslationStrategy = (typeof translationStrategies)[number];
const escaping = 'UnderscoreEscapingWithSuffixes' satisfies TranslationStrategy;

export type MetricKind = 'gauge' | 'sum' | 'monotonicSum' | 'histogram' | 'exponentialHistogram' | 'summary';

/** Unit (UCUM) → suffix; one that is not here is its own suffix. */
const units: ReadonlyMap<string, string> = new Map([
  ['d', 'days'],
  ['h', 'hours'],
  ['min', 'minutes'],
  ['s', 'seconds'],
  ['ms', 'milliseconds'],
  ['us', 'microseconds'],
  ['ns', 'nanoseconds'],
  ['By', 'bytes'],
  ['KiBy', 'kibibytes'],
  ['MiBy', 'mebibytes'],
  ['GiBy', 'gibibytes'],
  ['TiBy', 'tibibytes'],
  ['KBy', 'kilobytes'],
  ['MBy', 'megabytes'],
  ['GBy', 'gigabytes'],
  ['TBy', 'terabytes'],
  ['m', 'meters'],
  ['V', 'volts'],
  ['A', 'amperes'],
  ['J', 'joules'],
  ['W', 'watts'],
  ['g', 'grams'],
  ['Cel', 'celsius'],
  ['Hz', 'hertz'],
  ['1', ''],
  ['%', 'percent'],
]);

/** What stands after the '/' of a unit. */
const perUnits: ReadonlyMap<string, string> = new Map([
  ['s', 'second'],
  ['m', 'minute'],
  ['h', 'hour'],
  ['d', 'day'],
  ['w', 'week'],
  ['mo', 'month'],
  ['y', 'year'],
]);

/**
 * The `__name__` of a metric's series, before `_bucket`, `_count` and `_sum`.
 * @returns '' where nothing valid is left of the name; Prometheus drops such a metric.
 */
export function metricName(
  name: string,
  unit: string,
  kind: MetricKind,
  strategy: TranslationStrategy = escaping,
): string {
  switch (strategy) {
    case 'UnderscoreEscapingWithSuffixes':
      return escapedWithSuffixes(name, unit, kind);
    case 'UnderscoreEscapingWithoutSuffixes':
      return startingRight(name.split(/[^a-zA-Z0-9:_]+/).filter((part) => part !== ''));
    case 'NoUTF8EscapingWithSuffixes':
      return withSuffixes(name, unit, kind);
    case 'NoTranslation':
      return name;
  }
}

function escapedWithSuffixes(name: string, unit: string, kind: MetricKind): string {
  let tokens = name.split(/[^a-zA-Z0-9:]+/).filter((token) => token !== '');
  const [main, per] = unitSuffixes(unit);
  let mainSuffix = tokens.includes(main) ? '' : main;
  const perSuffix = tokens.includes(per) ? '' : per;
  if (perSuffix !== '') mainSuffix = mainSuffix.replace(/_$/, '');
  if (mainSuffix !== '') tokens.push(mainSuffix);
  if (perSuffix !== '') tokens.push(perSuffix);
  if (kind === 'monotonicSum') tokens = [...tokens.filter((token) => token !== 'total'), 'total'];
  // Only gauges: instrumentations give the unit 1 to counts of things, too.
  if (unit === '1' && kind === 'gauge') tokens = [...tokens.filter((token) => token !== 'ratio'), 'ratio'];
  return startingRight(tokens);
}

function startingRight(tokens: readonly string[]): string {
  const joined = tokens.join('_');
  const valid = /^[0-9]/.test(joined) ? `_${joined}` : joined;
  return /^_*$/.test(valid) ? '' : valid;
}

/** The name as it is, with suffixes behind it. */
function withSuffixes(name: string, unit: string, kind: MetricKind): string {
  let base = name;
  const behind: string[] = [];
  const last = unit === '1' && kind === 'gauge' ? 'ratio' : kind === 'monotonicSum' ? 'total' : '';
  if (last !== '') {
    base = withoutSuffix(base, last);
    behind.unshift(last);
  }
  const [main, per] = rawUnitSuffixes(unit);
  if (per !== '') {
    base = withoutSuffix(base, per);
    behind.unshift(per);
  }
  if (main !== '' && !base.endsWith(main)) behind.unshift(main);
  return [base, ...behind].join('_');
}

/** With the character before it, whatever that is. */
function withoutSuffix(name: string, suffix: string): string {
  return name.endsWith(suffix) && name.length > suffix.length + 1 ? name.slice(0, -(suffix.length + 1)) : name;
}

function rawUnitSuffixes(unit: string): [string, string] {
  const slash = unit.indexOf('/');
  const main = (slash < 0 ? unit : unit.slice(0, slash)).trim();
  const per = slash < 0 ? '' : unit.slice(slash + 1).trim();
  return [
    /[{}]/.test(main) ? '' : (units.get(main) ?? main),
    per === '' || /[{}]/.test(per) ? '' : `per_${perUnits.get(per) ?? per}`,
  ];
}

function unitSuffixes(unit: string): [string, string] {
  const [main, per] = rawUnitSuffixes(unit).map(cleaned) as [string, string];
  return [main, per === 'per_' ? '' : per.replace(/_$/, '')];
}

/** The unit as Prometheus' metadata has it: `seconds`, `bytes_per_second`; '' for none. */
export function unitName(unit: string): string {
  const [main, per] = rawUnitSuffixes(unit).map(cleaned) as [string, string];
  return (main !== '' && per !== '' ? `${main}_${per}` : main || per).replace(/^_/, '').replace(/_$/, '');
}

/** Runs of what no name may hold become one underscore; none in front. */
function cleaned(unit: string): string {
  return unit.replace(/[^a-zA-Z0-9:]+/gu, '_').replace(/^_/, '');
}

/**
 * The label of an attribute. Runs of underscores stay, as Prometheus is configured by default.
 * @returns '' where nothing valid is left of the key; Prometheus refuses such a label.
 */
export function labelName(key: string, strategy: TranslationStrategy = escaping): string {
  if (strategy === 'NoUTF8EscapingWithSuffixes' || strategy === 'NoTranslation') return /^_*$/.test(key) ? '' : key;
  const escaped = key.replace(/[^a-zA-Z0-9_]/gu, '_');
  const label = /^[0-9]/.test(escaped) ? `key_${escaped}` : /^_(?!_)/.test(escaped) ? `key${escaped}` : escaped;
  return /^_*$/.test(label) ? '' : label;
}

/**
 * Resource attributes that become labels of every series of the resource; all others are in `target_info`. The first are
 * those that OpenTelemetry recommends; then what tells the resources of kubelet_stats, host_metrics and k8s_cluster apart,
 * which have neither service nor instance, so that two nodes would be one series.
 */
export const promotedResourceAttributes = [
  'service.instance.id',
  'service.name',
  'service.namespace',
  'cloud.availability_zone',
  'cloud.region',
  'container.name',
  'deployment.environment.name',
  'k8s.cluster.name',
  'k8s.container.name',
  'k8s.cronjob.name',
  'k8s.daemonset.name',
  'k8s.deployment.name',
  'k8s.job.name',
  'k8s.namespace.name',
  'k8s.pod.name',
  'k8s.replicaset.name',
  'k8s.statefulset.name',
  'k8s.node.name',
  'k8s.replicationcontroller.name',
  'k8s.hpa.name',
  'k8s.resourcequota.name',
  'k8s.volume.name',
  'k8s.persistentvolumeclaim.name',
  'k8s.node.system_container.name',
  'k8s.container.status.last_terminated_reason',
] as const;
