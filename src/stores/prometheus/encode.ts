import { Writer } from '../../otlp/index.ts';
import type { Samples } from './samples.ts';
import { type Family, metricTypes, type SeriesTable } from './series.ts';

// Samples as requests of remote write, uncompressed. Pure but for the buffers, which are used again: what is returned holds
// until the next call. Sources: Prometheus Remote-Write 1.0 and 2.0 specifications, and their .proto files.

export type Version = '1.0' | '2.0';

export const contentTypes: Readonly<Record<Version, string>> = {
  '1.0': 'application/x-protobuf',
  '2.0': 'application/x-protobuf;proto=io.prometheus.write.v2.Request',
};

export interface Encoded {
  /** Request or WriteRequest. */
  readonly body: Uint8Array;
  /** What is in it, as the `…-Written` headers count: doubles, native histograms. */
  readonly doubles: number;
  readonly histograms: number;
}

export class Encoder {
  #table = new Writer(64 << 10);
  #series = new Writer(256 << 10);

  /**
   * @param order Samples by index; those of a series together, in order of time.
   * @param families Whose metadata go along; with 2.0 each series has its own.
   */
  encode(
    version: Version,
    samples: Samples,
    order: readonly number[],
    series: SeriesTable,
    families: readonly Family[],
  ) {
    return version === '2.0' ? this.#encode2(samples, order, series) : this.#encode1(samples, order, series, families);
  }

  /** io.prometheus.write.v2.Request: symbols = 4, timeseries = 5. */
  #encode2(samples: Samples, order: readonly number[], { symbols, labels }: SeriesTable): Encoded {
    const table = this.#table;
    const out = this.#series;
    table.truncate(0);
    out.truncate(0);
    symbols.begin();
    let places = 0;
    const ref = (id: number): number => {
      let place = symbols.place(id);
      if (place < 0) {
        place = places++;
        symbols.put(id, place);
        table.bytes(4, symbols.bytes(id));
      }
      return place;
    };
    /** For what comes once: trace ids and the like. */
    const add = (text: string): number => {
      table.string(4, text);
      return places++;
    };
    ref(0); // the empty string is the first symbol
    let doubles = 0;
    let histograms = 0;
    for (let at = 0; at < order.length; ) {
      const owner = samples.owners[order[at]!]!;
      const isHistogram = samples.histogramStarts[order[at]!]! >= 0;
      const end = runEnd(samples, order, at);
      const message = out.begin(5);
      const refs = out.begin(1);
      const { labelsStart, labelsEnd, family } = owner;
      for (let label = labelsStart; label < labelsEnd; label++) out.varint(ref(labels[label]!));
      out.end(refs);
      for (let each = at; each < end; each++) {
        const sample = order[each]!;
        const startMs = samples.startsMs[sample]!;
        if (isHistogram) {
          const begun = out.begin(3);
          out.raw(samples.histograms.view(samples.histogramStarts[sample]!, samples.histogramEnds[sample]!));
          out.uint32(15, samples.timesMs[sample]!);
          if (startMs > 0) out.uint32(17, startMs);
          out.end(begun);
        } else {
          const begun = out.begin(2);
          writeDouble(out, samples, sample);
          out.uint32(2, samples.timesMs[sample]!);
          if (startMs > 0) out.uint32(3, startMs);
          out.end(begun);
        }
      }
      if (samples.exemplars.size > 0) {
        for (let each = at; each < end; each++) {
          for (const exemplar of samples.exemplars.get(order[each]!) ?? []) {
            const begun = out.begin(4);
            const pairs = out.begin(1);
            for (const [name, value] of exemplar.labels) {
              out.varint(ref(symbols.id(name)));
              out.varint(add(value));
            }
            out.end(pairs);
            out.double(2, exemplar.value);
            out.uint32(3, exemplar.timeMs);
            out.end(begun);
          }
        }
      }
      const metadata = out.begin(5);
      out.uint32(1, metricTypes[family.type]);
      if (family.help !== '') out.uint32(3, ref(family.helpId));
      if (family.unit !== '') out.uint32(4, ref(family.unitId));
      out.end(metadata);
      out.end(message);
      if (isHistogram) histograms += end - at;
      else doubles += end - at;
      at = end;
    }
    table.raw(out.view(0, out.length));
    return { body: table.view(0, table.length), doubles, histograms };
  }

  /** prometheus.WriteRequest: timeseries = 1, metadata = 3. It has no start times. */
  #encode1(
    samples: Samples,
    order: readonly number[],
    { symbols, labels }: SeriesTable,
    families: readonly Family[],
  ): Encoded {
    const out = this.#series;
    out.truncate(0);
    let doubles = 0;
    let histograms = 0;
    for (let at = 0; at < order.length; ) {
      const owner = samples.owners[order[at]!]!;
      const isHistogram = samples.histogramStarts[order[at]!]! >= 0;
      const end = runEnd(samples, order, at);
      const message = out.begin(1);
      for (let label = owner.labelsStart; label < owner.labelsEnd; label += 2) {
        const begun = out.begin(1);
        out.bytes(1, symbols.bytes(labels[label]!));
        out.bytes(2, symbols.bytes(labels[label + 1]!));
        out.end(begun);
      }
      for (let each = at; each < end; each++) {
        const sample = order[each]!;
        const begun = out.begin(isHistogram ? 4 : 2);
        if (isHistogram) {
          out.raw(samples.histograms.view(samples.histogramStarts[sample]!, samples.histogramEnds[sample]!));
          out.uint32(15, samples.timesMs[sample]!);
        } else {
          writeDouble(out, samples, sample);
          out.uint32(2, samples.timesMs[sample]!);
        }
        out.end(begun);
      }
      if (samples.exemplars.size > 0) {
        for (let each = at; each < end; each++) {
          for (const exemplar of samples.exemplars.get(order[each]!) ?? []) {
            const begun = out.begin(3);
            for (const [name, value] of exemplar.labels) {
              const label = out.begin(1);
              out.string(1, name);
              out.string(2, value);
              out.end(label);
            }
            out.double(2, exemplar.value);
            out.uint32(3, exemplar.timeMs);
            out.end(begun);
          }
        }
      }
      out.end(message);
      if (isHistogram) histograms += end - at;
      else doubles += end - at;
      at = end;
    }
    for (const family of families) {
      const begun = out.begin(3);
      out.uint32(1, metricTypes[family.type]);
      out.string(2, family.name);
      if (family.help !== '') out.string(4, family.help);
      if (family.unit !== '') out.string(5, family.unit);
      out.end(begun);
    }
    return { body: out.view(0, out.length), doubles, histograms };
  }
}

/** One past the last sample of the run that makes one TimeSeries: the same series, all doubles or all histograms. */
function runEnd(samples: Samples, order: readonly number[], start: number): number {
  const owner = samples.owners[order[start]!];
  const isHistogram = samples.histogramStarts[order[start]!]! >= 0;
  let end = start + 1;
  while (
    end < order.length &&
    samples.owners[order[end]!] === owner &&
    samples.histogramStarts[order[end]!]! >= 0 === isHistogram
  ) {
    end++;
  }
  return end;
}

function writeDouble(out: Writer, samples: Samples, sample: number): void {
  out.doubleBits(1, samples.bits[sample * 2]!, samples.bits[sample * 2 + 1]!);
}
