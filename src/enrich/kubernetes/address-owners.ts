/** Who has which address, where more than one may say that it has it: the one with the best claim, and then the next. */
export class AddressOwners<Owner extends object> {
  readonly #outranks: (one: Owner, other: Owner) => boolean;
  readonly #owners = new Map<string, Owner>();
  /** Those who claim an address that another has. Hardly ever anybody. */
  readonly #others = new Map<string, Set<Owner>>();

  /** @param outranks Whether one's claim is better than the other's; of two that are equal the later counts. */
  constructor(outranks: (one: Owner, other: Owner) => boolean) {
    this.#outranks = outranks;
  }

  get(address: string): Owner | undefined {
    return this.#owners.get(address);
  }

  claim(address: string, claimant: Owner): void {
    const owner = this.#owners.get(address);
    if (owner === claimant) return;
    if (owner === undefined) {
      this.#owners.set(address, claimant);
      return;
    }
    const others = this.#others.get(address) ?? new Set();
    this.#others.set(address, others);
    if (this.#outranks(owner, claimant)) others.add(claimant);
    else {
      others.delete(claimant);
      others.add(owner);
      this.#owners.set(address, claimant);
    }
  }

  /** The claim of one who has it is less than it was. */
  weaken(address: string, claimant: Owner): void {
    const others = this.#others.get(address);
    if (others === undefined || this.#owners.get(address) !== claimant) return;
    const best = this.#best(others);
    if (best === undefined || !this.#outranks(best, claimant)) return;
    others.delete(best);
    others.add(claimant);
    this.#owners.set(address, best);
  }

  /** It claims it no more. */
  leave(address: string, claimant: Owner): void {
    const others = this.#others.get(address);
    if (this.#owners.get(address) === claimant) {
      const best = others === undefined ? undefined : this.#best(others);
      if (best === undefined) this.#owners.delete(address);
      else {
        others?.delete(best);
        this.#owners.set(address, best);
      }
    } else others?.delete(claimant);
    if (others?.size === 0) this.#others.delete(address);
  }

  #best(claimants: Iterable<Owner>): Owner | undefined {
    let best: Owner | undefined;
    for (const each of claimants) if (best === undefined || this.#outranks(each, best)) best = each;
    return best;
  }
}
