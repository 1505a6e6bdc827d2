// Readers of what JSON.parse gave. None of them throws: an object of another shape than expected has nothing in it.

const nothing: Readonly<Record<string, unknown>> = Object.freeze({});

export function asObject(value: unknown): Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
    ? (value as Record<string, unknown>)
    : nothing;
}

export function asArray(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : [];
}

/** undefined for the empty text, which in Kubernetes' objects means that there is none. */
export function asText(value: unknown): string | undefined {
  return typeof value === 'string' && value !== '' ? value : undefined;
}

/** @returns undefined where `text` is not JSON. */
export function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** The message of a Kubernetes Status. */
export function messageOf(body: string): string | undefined {
  return asText(asObject(parseJson(body))['message']);
}
