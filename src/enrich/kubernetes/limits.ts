// The numbers that bound what is read from and kept of the API server.

const MiB = 1024 * 1024;

/** Objects that one page of a list holds. A page is parsed in one go, which must not hold the loop for more than a few milliseconds; a pod has 5 to 10 kB. */
export const pageObjects = { full: 50, metadata: 100 } as const;
/** One page of a list. Past it the list starts anew with half as many objects a page. */
export const pageBytesMax = 32 * MiB;
/** One line of a watch: past it the watch is given up and the list read anew. etcd takes objects of 1.5 MiB. */
export const lineBytesMax = 8 * MiB;
/** What is read of an answer that is an error; the rest is not read. */
export const errorBytesMax = 64 * 1024;
/** What is kept of an error's message, in characters. */
export const messageCharsMax = 400;
/** Objects of one resource; Kubernetes itself is meant for 150,000 pods. Past it further ones are unknown. */
export const objectsMax = 250_000;
/** Labels that are kept of one pod, and likewise annotations; those that were asked for last are left out. */
export const keptMax = 64;
/** Their characters, names among them; likewise. */
export const keptCharsMax = 16 * 1024;
/** Containers of one pod, init and ephemeral ones among them. Further ones are left out. */
export const containersMax = 128;
/** Texts that are kept once for all who hold an equal one. Past it sharing starts anew. */
export const sharedTextsMax = 100_000;
/** Kubeconfig, token and certificate files. */
export const accessFileBytesMax = MiB;
/** Files are read again when what was read of them is older: tokens rotate, the kubelet replaces them well before they expire. */
export const accessAgeMsMax = 10_000;

/** Times of one list and watch. An option, since a test can't wait for them. */
export interface Timing {
  /** Silence on a connection that has something to answer. */
  readonly answerMs: number;
  /** One page of a list, all in all. */
  readonly pageMs: number;
  /** The API server is asked to end a watch after this, or up to twice this: spread, so that not all of them end together. */
  readonly watchMs: number;
  /** Silence on a watch. The API server sends a bookmark about once a minute. */
  readonly watchIdleMs: number;
  /** A watch that says nothing and ends sooner has failed. */
  readonly watchShortMs: number;
  /** The wait after a failure lies between half of this · 2^failures and all of it, up to `backoffMaxMs`. */
  readonly backoffBaseMs: number;
  readonly backoffMaxMs: number;
  /** What the API server may ask us to wait; it is held to this. */
  readonly retryAfterMaxMs: number;
  /** Likewise, the longest wait where a resource may not be read. */
  readonly deniedMs: number;
  /** Pods are listed when their owners are, or after this. */
  readonly ownersMs: number;
  /** How often what was deleted long enough ago is looked for. */
  readonly sweepMs: number;
}
export const timing: Timing = {
  answerMs: 30_000,
  pageMs: 120_000,
  watchMs: 300_000,
  watchIdleMs: 130_000,
  watchShortMs: 1_000,
  backoffBaseMs: 500,
  backoffMaxMs: 30_000,
  retryAfterMaxMs: 60_000,
  deniedMs: 120_000,
  ownersMs: 5_000,
  sweepMs: 1_000,
};
