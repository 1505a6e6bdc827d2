import { eachRecord, Reader, wireBytes } from '../../otlp/index.ts';
import type { Rows } from './columns.ts';
import { hourOf, received } from './decode.ts';
import type { GenerationDecoder } from './kind.ts';
import type { RollUp } from './rollup.ts';
import { type KnownSeries, MetricHead, shapes } from './series.ts';

// Data points into narrow rows: no object for a point. Sources: OTLP metrics.proto; the Prometheus OTLP translation.

/** The bits of a StaleNaN: what Prometheus has where a series ended. Source: prometheus model/value. */
const staleNanLow = 0x00000002;
const staleNanHigh = 0x7ff00000;
export const staleNan = (BigInt(staleNanHigh) << 32n) | BigInt(staleNanLow);

export function metricDecoder(target: {
  buffer: Rows;
  series: Rows;
  known: KnownSeries;
  rollUp: RollUp;
  retentionMs: number;
}): GenerationDecoder {
  const { buffer, known, rollUp } = target;
  known.begin(target.series, rollUp);
  const column = (name: string) => buffer.column(name);
  const hour = column('hour');
  const series = column('series');
  const time = column('time_unix_nano');
  const startTime = column('start_time_unix_nano');
  const value = column('value');
  const raw = column('record');
  const origins = { find: (resource: Uint8Array, scope: Uint8Array) => known.scope(resource, scope) };
  const head = new MetricHead();
  /** Where the attributes of a point lie, in pairs. */
  const fields: number[] = [];
  const data = new Reader(new Uint8Array(0));
  const point = new Reader(new Uint8Array(0));

  return {
    resourceKeys: () => undefined,
    decode(frame, index, refused) {
      const { body } = frame;
      const came = received(frame);
      let number = 0;
      eachRecord(body, origins, (scope, start, end) => {
        head.read(body, start, end);
        const shape = shapes[head.field];
        if (shape === undefined) return;
        const metric = known.metric(scope, body, head);
        const who = metric.isWatched ? scope.whoWatched : scope.who;
        data.over(body, head.dataStart, head.dataEnd);
        while (data.next()) {
          if (data.field !== 1 || data.wireType !== wireBytes) continue;
          const record = number++;
          if (metric.name === '') {
            const reason = 'a metric whose name has no character that Prometheus allows';
            refused.push({ frame: index, record, count: 1, reason });
            continue;
          }
          const { row } = buffer;
          let length = 0;
          let low = came.low;
          let high = came.high;
          let startLow = 0;
          let startHigh = 0;
          let numberAt = -1;
          let integer = false;
          let flags = 0;
          let exemplars = false;
          point.over(body, data.valueStart, data.valueEnd);
          while (point.next()) {
            const { field } = point;
            if (field === shape.attributes && point.wireType === wireBytes) {
              fields[length++] = point.tagStart;
              fields[length++] = point.valueEnd;
            } else if (field === 3) {
              if (point.fixed64Low() !== 0 || point.fixed64High() !== 0) {
                low = point.fixed64Low();
                high = point.fixed64High();
              }
            } else if (field === 2) {
              startLow = point.fixed64Low();
              startHigh = point.fixed64High();
            } else if (field === shape.flags) flags = point.uint32();
            else if (shape.type === 'number') {
              if (field === 4 || field === 6) {
                numberAt = point.valueStart;
                integer = field === 6;
              } else if (field === 5) exemplars = true;
            }
          }
          const found = known.find(metric, body, fields, length);
          series.set64(row, known.idLow[found]!, known.idHigh[found]!);
          time.set64(row, low, high);
          startTime.set64(row, startLow, startHigh);
          const ofHour = hourOf(low, high, came.ms, target.retentionMs);
          hour.set32(row, ofHour);
          // DataPointFlags.NO_RECORDED_VALUE_MASK: the series ended here, whatever the value says.
          if ((flags & 1) !== 0) value.set64(row, staleNanLow, staleNanHigh);
          else if (numberAt >= 0) {
            const bitsLow = fixed32(body, numberAt);
            const bitsHigh = fixed32(body, numberAt + 4);
            // A double's bits go as they are, so that every NaN and −0 stays what it was.
            if (integer)
              value.setDouble(row, Number(BigInt.asIntN(64, (BigInt(bitsHigh >>> 0) << 32n) | BigInt(bitsLow >>> 0))));
            else value.set64(row, bitsLow, bitsHigh);
          }
          if (shape.type !== 'number' || exemplars) {
            raw.setBytes(row, body, data.valueStart, data.valueEnd);
          }
          rollUp.add(who, 0, 0, ofHour, low, high, 0, 0);
          buffer.endRow();
        }
      });
    },
  };
}

function fixed32(bytes: Uint8Array, at: number): number {
  return bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24);
}
