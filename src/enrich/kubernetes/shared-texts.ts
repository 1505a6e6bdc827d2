import { sharedTextsMax } from './limits.ts';

/**
 * Keeps equal texts once: thousands of pods share namespaces, nodes, images and labels. A text that is handed in is copied
 * when it is new, as one that was cut out of a longer text would keep that in memory.
 */
export class SharedTexts {
  readonly #texts = new Map<string, string>();

  share(text: string): string {
    const known = this.#texts.get(text);
    if (known !== undefined) return known;
    // Who holds a text keeps it; only those that come later get another one.
    if (this.#texts.size >= sharedTextsMax) this.#texts.clear();
    const own = copyOf(text);
    this.#texts.set(own, own);
    return own;
  }
}

/** The text without what it was cut out of. */
export function copyOf(text: string): string {
  return Buffer.from(text).toString();
}
