/** How much a peer may send that is no request, so that a flood of it ends with the connection. */
export class Budget {
  readonly #controlFramesMax: number;
  #controlFrames = 0;
  #resetsLeft = resetsBurst;

  /** @param controlFramesPerSecondMax Frames between two calls of `renew`. */
  constructor(controlFramesPerSecondMax: number) {
    this.#controlFramesMax = controlFramesPerSecondMax;
  }

  /** Once a second. */
  renew(): void {
    this.#controlFrames = 0;
    this.#resetsLeft = Math.min(resetsBurst, this.#resetsLeft + resetsPerSecond);
  }

  /** A request: grpc-go measures the way with a PING for each answer, and what comes with calls is no flood. */
  onCall(): void {
    if (this.#controlFrames > 0) this.#controlFrames = Math.max(0, this.#controlFrames - controlFramesPerCall);
  }

  /** Frames that carry nothing. False: too many. */
  takeControl(weight: number): boolean {
    this.#controlFrames += weight;
    return this.#controlFrames <= this.#controlFramesMax;
  }

  /** A stream that ends before its answer costs the server more than the client: CVE-2023-44487, CVE-2025-8671. */
  takeReset(): boolean {
    this.#resetsLeft -= 1;
    return this.#resetsLeft >= 0;
  }
}

const controlFramesPerCall = 8;
const resetsBurst = 1_000;
const resetsPerSecond = 33;
