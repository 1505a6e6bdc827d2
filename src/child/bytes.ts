import type { NewDeadLetter } from '../wal/index.ts';

/** A structured clone of a view copies all that it is a view of: here, a megabyte of the log. */
export function ownBytes<Letter extends Pick<NewDeadLetter, 'frame'>>(letter: Letter): Letter {
  const { frame } = letter;
  return { ...letter, frame: { ...frame, digest: Uint8Array.from(frame.digest), body: Uint8Array.from(frame.body) } };
}
