import type { Peers } from './client.ts';

/** What another replica says; `error` where it does not. */
export interface PeerReply {
  /** `address:port`. */
  readonly name: string;
  /** JSON, not checked. */
  readonly answer: unknown;
  readonly error: string | undefined;
}

/** Asks all other replicas at once, each once however many addresses it has. Never rejects. */
export async function askPeers(peers: Peers, path: string, cancel: AbortSignal): Promise<readonly PeerReply[]> {
  const seen = new Set<string>();
  const replies = await Promise.all(
    (await peers.find()).map(async (peer): Promise<PeerReply & { readonly instance: string }> => {
      try {
        const { instance, answer } = await peer.ask(path, cancel);
        return { name: peer.name, answer, error: undefined, instance };
      } catch (thrown) {
        const error = thrown instanceof Error ? thrown.message : String(thrown);
        return { name: peer.name, answer: undefined, error, instance: '' };
      }
    }),
  );
  // This process, which is asked the first time as its own peer, is no other.
  const others = new Set((await peers.find()).map(({ name }) => name));
  return replies
    .filter(({ name, instance }) => {
      if (!others.has(name) || (instance !== '' && seen.has(instance))) return false;
      seen.add(instance);
      return true;
    })
    .map(({ name, answer, error }) => ({ name, answer, error }))
    .sort((a, b) => (a.name < b.name ? -1 : 1));
}
