/** Something small that may wait for a write that comes anyway. One timer serves all that wait. */
export class Held {
  readonly #onLate: () => void;
  #sinceTurn = 0;

  /** @param onLate Called where `release` was not, one to two times `turnMs` after `hold`. */
  constructor(onLate: () => void) {
    this.#onLate = onLate;
  }

  hold(): void {
    this.#sinceTurn = turn;
    waiting.add(this);
    keepTurning();
  }

  release(): void {
    waiting.delete(this);
  }

  onTurn(): void {
    if (turn - this.#sinceTurn < 2) return;
    waiting.delete(this);
    this.#onLate();
  }
}

export const turnMs = 10;
const waiting = new Set<Held>();
let turn = 0;
let isTurning = false;

function keepTurning(): void {
  if (isTurning || waiting.size === 0) return;
  isTurning = true;
  setTimeout(onTurn, turnMs);
}

function onTurn(): void {
  turn++;
  isTurning = false;
  for (const held of waiting) held.onTurn();
  keepTurning();
}
