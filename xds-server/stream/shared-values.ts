/**
 * Values that many streams have alike, each kept once: Envoys of a group ask for the same names and say the same about themselves. A value goes when the last stream with it goes.
 */
export class SharedValues<Key, Value extends object> {
  readonly #values = new Map<Key, WeakRef<Value>>();
  readonly #gone = new FinalizationRegistry<Key>((key) => {
    if (this.#values.get(key)?.deref() === undefined) this.#values.delete(key);
  });

  /** The value that somebody uses under this key, or else the one that is made. Nobody may change it. */
  get(key: Key, make: () => Value): Value {
    const known = this.#values.get(key)?.deref();
    if (known !== undefined) return known;
    const value = make();
    this.#values.set(key, new WeakRef(value));
    this.#gone.register(value, key);
    return value;
  }
}
