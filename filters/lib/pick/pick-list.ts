/** Slots of a list: the endpoint of choice, and two for retries. */
const LIST_SLOTS: i32 = 3;

/** What a policy chose: up to three different slots, best first. */
@final
export class PickList {
  count: i32 = 0;
  private slot0: i32 = -1;
  private slot1: i32 = -1;
  private slot2: i32 = -1;
  /** Blocks at the beginning of the prompt that slot(0) is believed to have in its cache; 0 when the policy does not look. */
  matched: i32 = 0;
  /** Most blocks that any eligible endpoint is believed to have. */
  bestMatch: i32 = 0;
  /** Tokens that slot(0) will have to compute. */
  uncached: i32 = 0;
  /** All eligible endpoints were quarantined, and quarantine was overlooked. */
  desperate: bool = false;

  /** -1 beyond `count`. */
  slot(index: i32): i32 {
    if (index >= this.count) return -1;
    return index == 0 ? this.slot0 : index == 1 ? this.slot1 : this.slot2;
  }

  get isFull(): bool {
    return this.count == LIST_SLOTS;
  }

  has(slot: i32): bool {
    for (let i = 0; i < this.count; i++) if (this.slot(i) == slot) return true;
    return false;
  }

  /** Puts a slot behind the others, unless it is negative, already there, or one too many. */
  push(slot: i32): void {
    if (slot < 0 || this.isFull || this.has(slot)) return;
    if (this.count == 0) this.slot0 = slot;
    else if (this.count == 1) this.slot1 = slot;
    else this.slot2 = slot;
    this.count++;
  }

  /** Takes out the slot at `index`; those behind move up. */
  drop(index: i32): void {
    if (index >= this.count) return;
    if (index == 0) this.slot0 = this.slot1;
    if (index <= 1) this.slot1 = this.slot2;
    this.count--;
  }

  clear(): void {
    this.count = 0;
    this.matched = 0;
    this.bestMatch = 0;
    this.uncached = 0;
    this.desperate = false;
  }
}
