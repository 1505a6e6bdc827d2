import type { Case } from './corpus.ts';

/** What one side said to one body. */
export interface Answer {
  readonly accepted: boolean;
  readonly rejected: number;
  readonly message: string;
}

/** Why we accept what the Collector (0.152.0) refuses, or the other way round. The first row that fits is the reason. */
const differences: readonly {
  readonly reason: string;
  readonly fits: (one: Case, theirs: Answer, ours: Answer) => boolean;
}[] = [
  {
    reason:
      'An id of a wrong length or not in hex: the Collector loses the whole request; we reject that span, or take a log record without it, and keep the others.',
    fits: (_, theirs, ours) =>
      ours.accepted && /invalid (TraceID|SpanID) length|ID\.UnmarshalJSONIter/.test(theirs.message),
  },
  {
    reason:
      'The Collector names what is wrong in a message that is not UTF-8, and answers INTERNAL instead. We take the records and say in a warning what was mended.',
    fits: (_, theirs, ours) => ours.accepted && /failed to marshal error message/.test(theirs.message),
  },
  {
    reason: 'An empty body is an empty request, in JSON as in protobuf.',
    fits: (one, _, ours) => one.encoding === 'json' && one.body.length === 0 && ours.accepted,
  },
  {
    reason: 'What stands behind the JSON value is not JSON (RFC 8259); the Collector does not look at it.',
    fits: (one, theirs, ours) => one.encoding === 'json' && theirs.accepted && /expected the end/.test(ours.message),
  },
  {
    reason:
      'Groups: an unknown field may be one, and is passed over whole (Protocol Buffers, "Encoding"). The Collector loses its way in one whose tags are two bytes, and does not look at which group a tag ends.',
    fits: (one, theirs, ours) =>
      theirs.accepted
        ? /wire type 4$|a group that does not end|another field's group/.test(ours.message)
        : ours.accepted && one.name === 'unknown group, closed' && /unexpected EOF/.test(theirs.message),
  },
  {
    reason: 'Enums are integers: OTLP 1.11.0, "JSON Protobuf Encoding", forbids their names.',
    fits: (_, theirs, ours) => theirs.accepted && /enums are not named/.test(ours.message),
  },
  {
    reason:
      'ProtoJSON: an integer may have an exponent where its value is integral, null is the default of any field, base64 may use the URL alphabet and leave out padding.',
    fits: (one, theirs, ours) =>
      one.encoding === 'json' &&
      ours.accepted &&
      (/strconv\.Parse(Int|Uint): parsing \\?"-?\d+e\d+/.test(theirs.message) ||
        /(ReadInt64|ReadUint64): unsupported value type/.test(theirs.message) ||
        /but found e/.test(theirs.message) ||
        /base64\.Decode: illegal base64/.test(theirs.message)),
  },
];

/** The reason for a difference; undefined where there is none. */
export function expectedDifference(one: Case, theirs: Answer, ours: Answer): string | undefined {
  return differences.find((row) => row.fits(one, theirs, ours))?.reason;
}
