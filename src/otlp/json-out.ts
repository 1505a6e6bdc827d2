import type { Signal } from '../base/index.ts';
import { messageDepthMax } from './limits.ts';
import { type Field, isMessage, type MessageName, requestMessage, schema } from './schema.ts';
import { malformed, Reader, wireBytes, wireFixed32, wireFixed64, wireVarint } from './wire.ts';

/**
 * OTLP JSON of a request or of stored data: ids in hex, 64-bit integers as strings, enums as integers, NaN and ±Infinity
 * as strings. A field that is on the wire is shown even where it has its default; fields of later versions are left out.
 * @param bytes  TracesData, MetricsData or LogsData; an export request has the same fields.
 * @throws Fault `malformed`
 * @see OTLP 1.11.0 "JSON Protobuf Encoding"
 */
export function protobufToJson(signal: Signal, bytes: Uint8Array): string {
  return messageToJson(requestMessage[signal], new Reader(bytes), 0);
}

/** What is known of a field when its member is written. */
interface Member {
  readonly field: Field;
  /** JSON texts; one, unless the field is repeated. */
  readonly texts: string[];
  /** Contents of a message that may come in parts. */
  readonly parts: Uint8Array[];
}

const fieldsByNumber = new Map(
  Object.entries(schema).map(([name, fields]) => [name, new Map(fields.map((field) => [field.number, field]))]),
) as ReadonlyMap<string, ReadonlyMap<number, Field>>;

function messageToJson(name: MessageName, content: Reader, depth: number): string {
  if (depth > messageDepthMax) throw malformed('messages nested too deep', content.valueStart);
  const byNumber = fieldsByNumber.get(name)!;
  // By number, or by oneof: of its members the last one counts, as if the others were not there.
  const members = new Map<number | string, Member>();
  while (content.next()) {
    const field = byNumber.get(content.field);
    if (field === undefined) continue;
    const slot = field.oneof ?? field.number;
    let member = members.get(slot);
    if (member === undefined || member.field !== field) {
      member = { field, texts: [], parts: [] };
      members.set(slot, member);
    }
    if (isMessage(field.kind)) {
      if (content.wireType !== wireBytes) throw wrongWireType(content, field);
      if (field.repeated) member.texts.push(messageToJson(field.kind, content.message(), depth + 1));
      else {
        if (field.oneof !== undefined) member.parts.length = 0;
        member.parts.push(content.bytes());
      }
    } else if (field.repeated) addRepeated(member.texts, field, content);
    else member.texts[0] = scalarToJson(field, content);
  }
  const texts: string[] = [];
  for (const { field, texts: values, parts } of members.values()) {
    if (field.repeated) texts.push(`"${field.name}":[${values.join(',')}]`);
    else if (isMessage(field.kind)) {
      const whole = parts.length === 1 ? parts[0]! : Buffer.concat(parts);
      texts.push(`"${field.name}":${messageToJson(field.kind, new Reader(whole), depth + 1)}`);
    } else texts.push(`"${field.name}":${values[0]}`);
  }
  return `{${texts.join(',')}}`;
}

function addRepeated(texts: string[], field: Field, content: Reader): void {
  if (field.kind === 'string' || content.wireType !== wireBytes) {
    texts.push(scalarToJson(field, content));
    return;
  }
  // Packed: the values stand behind each other, without tags.
  const { buffer, valueStart, valueEnd } = content;
  if (wireTypes[field.kind] === wireFixed64) {
    if ((valueEnd - valueStart) % 8 !== 0) throw malformed('packed values that end in the middle of one', valueStart);
    for (let at = valueStart; at < valueEnd; at += 8) {
      const element = new Reader(buffer, at, at + 8);
      element.valueStart = at;
      element.wireType = wireFixed64;
      texts.push(scalarToJson(field, element));
    }
  } else for (const value of packedVarints(content)) texts.push(`"${value}"`);
}

function* packedVarints(content: Reader): Generator<bigint> {
  const { buffer, valueEnd } = content;
  let at = content.valueStart;
  while (at < valueEnd) {
    let value = 0n;
    let shift = 0n;
    for (;;) {
      if (at >= valueEnd || shift > 63n) throw malformed('a varint that is cut off or too long', at);
      const byte = buffer[at++]!;
      value |= BigInt(byte & 0x7f) << shift;
      shift += 7n;
      if (byte < 0x80) break;
    }
    yield BigInt.asUintN(64, value);
  }
}

const wireTypes: { readonly [kind: string]: number } = {
  string: wireBytes,
  bytes: wireBytes,
  traceId: wireBytes,
  spanId: wireBytes,
  fixed32: wireFixed32,
  fixed64: wireFixed64,
  sfixed64: wireFixed64,
  double: wireFixed64,
};

function scalarToJson(field: Field, value: Reader): string {
  if (value.wireType !== (wireTypes[field.kind] ?? wireVarint)) throw wrongWireType(value, field);
  switch (field.kind) {
    case 'string':
      return JSON.stringify(value.string());
    case 'bytes':
      return `"${asBuffer(value).toString('base64')}"`;
    case 'traceId':
    case 'spanId':
      return `"${asBuffer(value).toString('hex')}"`;
    case 'bool':
      return String(value.bool());
    case 'enum':
    case 'int32':
      return String(value.int32());
    case 'uint32':
      return String(value.uint32());
    case 'sint32':
      return String(value.sint32());
    case 'int64':
      return `"${value.int64()}"`;
    case 'uint64':
      return `"${value.uint64()}"`;
    case 'fixed32':
      return String(value.fixed32());
    case 'fixed64':
      return `"${value.fixed64()}"`;
    case 'sfixed64':
      return `"${value.sfixed64()}"`;
    case 'double': {
      const double = value.double();
      if (!Number.isFinite(double)) return `"${double}"`;
      return Object.is(double, -0) ? '-0' : String(double); // JSON.stringify would lose the sign of zero
    }
    default:
      throw new TypeError(`${field.kind} is no scalar`);
  }
}

function asBuffer(value: Reader): Buffer {
  const bytes = value.bytes();
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
}

function wrongWireType(value: Reader, field: Field): Error {
  return malformed(`wire type ${value.wireType} for field ${field.number}, ${field.name}`, value.tagStart);
}
