import type { Peers } from './client.ts';
import { messageOf } from './protocol.ts';

/** What another replica says; `error` where it does not. */
export interface PeerReply {
  /** `address:port`; `name:port` where nobody can be asked who has the name. */
  readonly name: string;
  /** JSON, not checked. */
  readonly answer: unknown;
  readonly error: string | undefined;
}

/** Asks all other replicas at once, each once however many addresses it has. Never rejects. */
export async function askPeers(peers: Peers, path: string, cancel: AbortSignal): Promise<readonly PeerReply[]> {
  const found = await peers.find();
  const replies: PeerReply[] = found.unresolved.map(({ name, reason }) => ({ name, answer: undefined, error: reason }));
  const seen = new Set<string>();
  await Promise.all(
    found.peers.map(async ({ name, ask }) => {
      try {
        const asked = await ask(path, cancel);
        if (asked.kind === 'self' || seen.has(asked.instance)) return;
        if (asked.instance !== '') seen.add(asked.instance);
        replies.push({ name, answer: asked.answer, error: undefined });
      } catch (thrown) {
        replies.push({ name, answer: undefined, error: messageOf(thrown) });
      }
    }),
  );
  return replies.sort((a, b) => (a.name < b.name ? -1 : 1));
}
