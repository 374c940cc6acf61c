import { Bytes } from "../sdk";

/** What a matched model (or a configured default) turns a request into. */
@final
export class ModelRule {
  /** Name the upstream knows the model by; empty keeps the client's. */
  upstreamModel: Bytes = new Bytes();
  /** The same as a JSON string with quotes, ready to stand in a body. */
  upstreamToken: Bytes = new Bytes();

  constructor(
    /** Model pattern as configured, without a trailing `*`. */
    readonly name: Bytes,
    /** Value of the route header. */
    readonly route: Bytes,
  ) {}
}

/**
 * Model name -> rule: exact names by hash, then the longest matching prefix, then `*`.
 *
 * Exact lookup is O(name) whatever the number of models; prefixes are few and kept longest first, so the first match is the answer.
 */
@final
export class ModelTable {
  private slots: StaticArray<ModelRule | null> = new StaticArray<ModelRule | null>(16);
  private exactCount: i32 = 0;
  private readonly prefixes: ModelRule[] = [];
  private any: ModelRule | null = null;

  /** False when the name is in the table already. */
  addExact(rule: ModelRule): bool {
    if (this.exact(rule.name) !== null) return false;
    if ((this.exactCount + 1) * 2 > this.slots.length) this.grow();
    this.place(rule);
    this.exactCount++;
    return true;
  }

  /** `rule.name` is the prefix; the empty prefix matches every model. */
  addPrefix(rule: ModelRule): bool {
    if (rule.name.len == 0) {
      if (this.any !== null) return false;
      this.any = rule;
      return true;
    }
    let at = 0;
    for (; at < this.prefixes.length && this.prefixes[at].name.len >= rule.name.len; at++) {
      if (this.prefixes[at].name.equals(rule.name)) return false;
    }
    this.prefixes.push(rule);
    for (let i = this.prefixes.length - 1; i > at; i--) this.prefixes[i] = this.prefixes[i - 1];
    this.prefixes[at] = rule;
    return true;
  }

  /** The rule for a model name, or null. */
  find(name: Bytes): ModelRule | null {
    const exact = this.exact(name);
    if (exact !== null) return exact;
    for (let i = 0; i < this.prefixes.length; i++) {
      const rule = unchecked(this.prefixes[i]);
      if (name.startsWith(rule.name)) return rule;
    }
    return this.any;
  }

  private exact(name: Bytes): ModelRule | null {
    const mask = this.slots.length - 1;
    for (let at = hash(name) & mask; ; at = (at + 1) & mask) {
      const rule = unchecked(this.slots[at]);
      if (rule === null || rule.name.equals(name)) return rule;
    }
    return null;
  }

  private place(rule: ModelRule): void {
    const mask = this.slots.length - 1;
    let at = hash(rule.name) & mask;
    while (unchecked(this.slots[at]) !== null) at = (at + 1) & mask;
    unchecked((this.slots[at] = rule));
  }

  private grow(): void {
    const old = this.slots;
    this.slots = new StaticArray<ModelRule | null>(old.length * 2);
    for (let i = 0; i < old.length; i++) {
      const rule = unchecked(old[i]);
      if (rule !== null) this.place(rule);
    }
  }
}

/** FNV-1a, 32 bits; the names come from the operator, so collisions cannot be provoked by traffic beyond one probe chain. */
function hash(name: Bytes): i32 {
  let state: u32 = 0x811c9dc5;
  for (let i = 0; i < name.len; i++) state = (state ^ name.at(i)) * 0x01000193;
  return <i32>(state ^ (state >> 15));
}
