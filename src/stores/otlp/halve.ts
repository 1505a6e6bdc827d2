import { Reader, Writer, wireBytes } from '../../otlp/index.ts';

/** Field numbers of what repeats: resources in a request, scopes in a resource, records (or metrics) in a scope. */
const repeated = [1, 2, 2] as const;

/**
 * Cuts an export request into two that hold its records in order, about half of the bytes each. Resource and scope are in
 * both halves where the cut goes through them.
 * @param bytes Export…ServiceRequest of any signal: their structure is the same down to the records. Not decoded further.
 * @returns undefined where it holds a single record, or metric.
 */
export function halve(bytes: Uint8Array): [Uint8Array, Uint8Array] | undefined {
  return halveAt(bytes, 0);
}

function halveAt(bytes: Uint8Array, level: number): [Uint8Array, Uint8Array] | undefined {
  const field = repeated[level];
  if (field === undefined) return undefined;
  const elements: { whole: Uint8Array; value: Uint8Array }[] = [];
  const others: Uint8Array[] = [];
  let elementBytes = 0;
  const reader = new Reader(bytes);
  while (reader.next()) {
    const whole = bytes.subarray(reader.tagStart, reader.valueEnd);
    if (reader.field === field && reader.wireType === wireBytes) {
      elements.push({ whole, value: reader.bytes() });
      elementBytes += whole.byteLength;
    } else {
      others.push(whole);
    }
  }
  const [only, ...more] = elements;
  if (only === undefined) return undefined;
  if (more.length === 0) {
    const halves = halveAt(only.value, level + 1);
    return halves && [wrapped(others, field, halves[0]), wrapped(others, field, halves[1])];
  }
  let middle = 1;
  for (let before = only.whole.byteLength; middle < elements.length - 1 && before < elementBytes / 2; middle++) {
    before += elements[middle]?.whole.byteLength ?? 0;
  }
  const wholes = elements.map((element) => element.whole);
  return [Buffer.concat([...others, ...wholes.slice(0, middle)]), Buffer.concat([...others, ...wholes.slice(middle)])];
}

function wrapped(others: readonly Uint8Array[], field: number, value: Uint8Array): Uint8Array {
  const head = new Writer(16);
  head.tag(field, wireBytes);
  head.varint(value.byteLength);
  return Buffer.concat([...others, head.finish(), value]);
}
