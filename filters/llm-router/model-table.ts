import { Bytes } from "../sdk";
import { Target } from "./target";

/** One entry of `models`. */
@final
export class ModelEntry {
  constructor(
    /** Model pattern as configured, without a trailing `*`. */
    readonly name: Bytes,
    readonly target: Target,
  ) {}
}

/**
 * Model name -> entry: exact names by hash, then the longest matching prefix, then `*`.
 *
 * Exact lookup is O(name) whatever the number of models; prefixes are few and kept longest first, so the first match is the answer.
 */
@final
export class ModelTable {
  private slots: StaticArray<ModelEntry | null> = new StaticArray<ModelEntry | null>(16);
  private exactCount: i32 = 0;
  private readonly prefixes: ModelEntry[] = [];
  private any: ModelEntry | null = null;

  /** False when the name is in the table already. */
  addExact(entry: ModelEntry): bool {
    if (this.exact(entry.name) !== null) return false;
    if ((this.exactCount + 1) * 2 > this.slots.length) this.grow();
    this.place(entry);
    this.exactCount++;
    return true;
  }

  /** `entry.name` is the prefix; the empty prefix matches every model. */
  addPrefix(entry: ModelEntry): bool {
    if (entry.name.len == 0) {
      if (this.any !== null) return false;
      this.any = entry;
      return true;
    }
    let at = 0;
    for (; at < this.prefixes.length && this.prefixes[at].name.len >= entry.name.len; at++) {
      if (this.prefixes[at].name.equals(entry.name)) return false;
    }
    this.prefixes.push(entry);
    for (let i = this.prefixes.length - 1; i > at; i--) this.prefixes[i] = this.prefixes[i - 1];
    this.prefixes[at] = entry;
    return true;
  }

  /** The entry for a model name, or null. */
  find(name: Bytes): ModelEntry | null {
    const exact = this.exact(name);
    if (exact !== null) return exact;
    for (let i = 0; i < this.prefixes.length; i++) {
      const entry = unchecked(this.prefixes[i]);
      if (name.startsWith(entry.name)) return entry;
    }
    return this.any;
  }

  private exact(name: Bytes): ModelEntry | null {
    const mask = this.slots.length - 1;
    for (let at = hash(name) & mask; ; at = (at + 1) & mask) {
      const entry = unchecked(this.slots[at]);
      if (entry === null || entry.name.equals(name)) return entry;
    }
    return null;
  }

  private place(entry: ModelEntry): void {
    const mask = this.slots.length - 1;
    let at = hash(entry.name) & mask;
    while (unchecked(this.slots[at]) !== null) at = (at + 1) & mask;
    unchecked((this.slots[at] = entry));
  }

  private grow(): void {
    const old = this.slots;
    this.slots = new StaticArray<ModelEntry | null>(old.length * 2);
    for (let i = 0; i < old.length; i++) {
      const entry = unchecked(old[i]);
      if (entry !== null) this.place(entry);
    }
  }
}

/** FNV-1a, 32 bits; the names come from the operator, so collisions cannot be provoked by traffic beyond one probe chain. */
function hash(name: Bytes): i32 {
  let state: u32 = 0x811c9dc5;
  for (let i = 0; i < name.len; i++) state = (state ^ name.at(i)) * 0x01000193;
  return <i32>(state ^ (state >> 15));
}
