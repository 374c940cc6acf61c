/** Resources by what they are made of: what has the same inputs as the last time is not made again. */
import type { Resource } from "../cache/index.ts";

interface Made {
  readonly inputs: readonly unknown[];
  readonly resource: Resource;
}

/** Inputs are compared one by one as `===` does: they must be values or objects that never change. */
export class ResourceMemo {
  readonly #below: ResourceMemo | undefined;
  #made = new Map<string, Made>();
  #used = new Map<string, Made>();
  #count = 0;

  /** @param below is asked for what is not here and not changed: a memo for trying something out */
  constructor(below?: ResourceMemo) {
    this.#below = below;
  }

  /** How many resources were made so far. */
  get count(): number {
    return this.#count;
  }

  /** @param key tells resources apart within a configuration */
  resource(key: string, inputs: readonly unknown[], make: () => Resource): Resource {
    const known = this.#find(key);
    const isSame =
      known?.inputs.length === inputs.length && known.inputs.every((each, index) => each === inputs[index]);
    const made = known !== undefined && isSame ? known : { inputs, resource: make() };
    if (made !== known) this.#count++;
    this.#used.set(key, made);
    return made.resource;
  }

  #find(key: string): Made | undefined {
    const own = this.#used.get(key) ?? this.#made.get(key);
    if (own !== undefined || this.#below === undefined) return own;
    return this.#below.#find(key);
  }

  /** Forgets what was not asked for since the last call: after a whole configuration was built. */
  sweep(): void {
    this.#made = this.#used;
    this.#used = new Map();
  }
}
