/** Names of severities and the first number of each; the last is three more. Source: OTLP logs.proto, SeverityNumber. */
export const severityNames: ReadonlyMap<string, number> = new Map([
  ['trace', 1],
  ['debug', 5],
  ['info', 9],
  ['warn', 13],
  ['error', 17],
  ['fatal', 21],
]);

/** The name of the range that a severity number lies in. */
export function severityName(number: number): string {
  for (const [name, first] of severityNames) if (number >= first && number <= first + 3) return name;
  return 'unset';
}
