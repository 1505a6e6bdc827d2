import { describe, expect, it } from 'vitest';
import {
  labelName,
  type MetricKind,
  metricName,
  promotedResourceAttributes,
  type TranslationStrategy,
  unitName,
} from './index.ts';

describe('B21 metric names', () => {
  it.each<[name: string, unit: string, kind: MetricKind, expected: string]>([
    ['http.server.request.duration', 's', 'histogram', 'http_server_request_duration_seconds'],
    ['requests', '', 'monotonicSum', 'requests_total'],
    ['requests_total', '', 'monotonicSum', 'requests_total'],
    ['total.requests', '', 'monotonicSum', 'requests_total'],
    ['items', '1', 'monotonicSum', 'items_total'],
    ['cpu_usage', '1', 'gauge', 'cpu_usage_ratio'],
    ['cpu_usage_ratio', '1', 'gauge', 'cpu_usage_ratio'],
    ['queue', '1', 'sum', 'queue'],
    ['active_connections', '', 'sum', 'active_connections'],
    ['memory.usage', 'By', 'gauge', 'memory_usage_bytes'],
    ['response_time_seconds', 's', 'gauge', 'response_time_seconds'],
    ['seconds.of.life', 's', 'gauge', 'seconds_of_life'],
    ['requests', '1/s', 'gauge', 'requests_per_second'],
    ['requests', '1/s', 'monotonicSum', 'requests_per_second_total'],
    ['throughput', 'By/s', 'gauge', 'throughput_bytes_per_second'],
    ['speed', 'm/m', 'gauge', 'speed_meters_per_minute'],
    ['custom_metric', 'custom_unit', 'gauge', 'custom_metric_custom_unit'],
    ['custom_metric', '{custom}', 'gauge', 'custom_metric'],
    ['custom_metric', 'By/{custom}', 'gauge', 'custom_metric_bytes'],
    ['system.cpu.time', '{cpu}/s', 'gauge', 'system_cpu_time_per_second'],
    ['temperature', 'Cel', 'gauge', 'temperature_celsius'],
    ['usage', '%', 'gauge', 'usage_percent'],
    ['metric__with__many', 'unit__many', 'gauge', 'metric_with_many_unit_many'],
    ['custom_metric', 'unit@with#special/chars', 'gauge', 'custom_metric_unit_with_special_per_chars'],
    ['a:b', '', 'gauge', 'a:b'],
    ['123_requests', '', 'gauge', '_123_requests'],
    ['_leading', '', 'gauge', 'leading'],
    ['métric', 's', 'gauge', 'm_tric_seconds'],
    ['foo{', '', 'gauge', 'foo'],
    ['@#$%', '', 'gauge', ''],
    ['', '', 'gauge', ''],
  ])('%j in %j, a %s, is %j', (name, unit, kind, expected) => {
    expect(metricName(name, unit, kind)).toBe(expected);
    if (expected !== '') expect(expected).toMatch(/^[a-zA-Z_:][a-zA-Z0-9_:]*$/);
  });
});

describe('the other strategies', () => {
  it.each<[strategy: TranslationStrategy, name: string, unit: string, kind: MetricKind, expected: string]>([
    ['NoTranslation', 'http.requests', 's', 'monotonicSum', 'http.requests'],
    ['UnderscoreEscapingWithoutSuffixes', 'http.requests', 's', 'monotonicSum', 'http_requests'],
    ['UnderscoreEscapingWithoutSuffixes', 'a__b!!c', '', 'gauge', 'a__b_c'],
    ['UnderscoreEscapingWithoutSuffixes', '9lives', '', 'gauge', '_9lives'],
    ['NoUTF8EscapingWithSuffixes', 'http.requests', '', 'monotonicSum', 'http.requests_total'],
    ['NoUTF8EscapingWithSuffixes', 'http.requests.total', 'By', 'monotonicSum', 'http.requests_bytes_total'],
    ['NoUTF8EscapingWithSuffixes', 'speed', 'm/s', 'gauge', 'speed_meters_per_second'],
    ['NoUTF8EscapingWithSuffixes', 'cpu.ratio', '1', 'gauge', 'cpu_ratio'],
    ['NoUTF8EscapingWithSuffixes', 'size.bytes', 'By', 'gauge', 'size.bytes'],
  ])('%s: %j in %j, a %s, is %j', (strategy, name, unit, kind, expected) => {
    expect(metricName(name, unit, kind, strategy)).toBe(expected);
  });

  it('labels stay as they are where names may be any UTF-8', () => {
    expect(labelName('http.méthod', 'NoTranslation')).toBe('http.méthod');
    expect(labelName('__', 'NoUTF8EscapingWithSuffixes')).toBe('');
  });

  it.each([
    ['s', 'seconds'],
    ['By/s', 'bytes_per_second'],
    ['1', ''],
    ['/s', 'per_second'],
    ['{item}', ''],
    ['', ''],
  ])('unit %j is %j', (unit, expected) => expect(unitName(unit)).toBe(expected));
});

describe('B21 label names', () => {
  it.each([
    ['http.method', 'http_method'],
    ['label:with:colons', 'label_with_colons'],
    ['LabelWithCapitalLetters', 'LabelWithCapitalLetters'],
    ['label!with&special$chars)', 'label_with_special_chars_'],
    ['with_foreign_characters_字符', 'with_foreign_characters___'],
    ['emoji😀', 'emoji_'],
    ['123label', 'key_123label'],
    ['_one', 'key_one'],
    ['.dot', 'key_dot'],
    ['__two', '__two'],
    ['a..b', 'a__b'],
    ['__', ''],
    ['ようこそ', ''],
    ['', ''],
  ])('%j is %j', (key, expected) => expect(labelName(key)).toBe(expected));
});

it('the promoted resource attributes are the seventeen that Prometheus recommends, and eight of the Kubernetes receivers', () => {
  expect(new Set(promotedResourceAttributes).size).toBe(17 + 8);
});
