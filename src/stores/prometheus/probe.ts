import { type Encoded, Encoder, type Version } from './encode.ts';
import { Samples } from './samples.ts';
import { SeriesTable } from './series.ts';

/** Name of the series; nothing else is in it. */
const probeName = 'watchingcat_remote_write_probe';

/**
 * A sample of our own, with a time of its own, so that the far side has to store it: one that it has already would be
 * called stored on a full disk, too.
 */
export class Probe {
  readonly #table = new SeriesTable();
  readonly #samples = new Samples();
  readonly #encoder = new Encoder();
  readonly #series = this.#table.find(
    this.#table.family({
      name: probeName,
      type: 'gauge',
      help: 'Asks whether samples are stored while others fail',
      unit: '',
      otlpUnit: '',
    }),
    new Map([['__name__', probeName]]),
  );

  /** @returns what holds until the next call. */
  encode(version: Version, nowMs: number): Encoded {
    this.#samples.begin();
    // 1 as a double.
    this.#samples.addDouble(this.#series, nowMs, 0, 0, 0x3ff00000, -1, -1);
    return this.#encoder.encode(version, this.#samples, [0], this.#table, []);
  }
}
