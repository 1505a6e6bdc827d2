import { digestsMax } from './limits.ts';

/** Which log a request came from: logs do not store one twice, but two may have it, one that a stopping replica handed over. */
export class SeenDigests {
  readonly #logIds = new Map<string, string>();

  /** Remembers the request where it is new. */
  cameFromAnotherLog(digest: Uint8Array, logId: string): boolean {
    const name = Buffer.from(digest.buffer, digest.byteOffset, digest.length).toString('latin1');
    const seen = this.#logIds.get(name);
    if (seen !== undefined) return seen !== logId;
    this.#logIds.set(name, logId);
    if (this.#logIds.size > digestsMax) this.#logIds.delete(this.#logIds.keys().next().value!);
    return false;
  }
}
