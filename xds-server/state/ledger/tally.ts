/**
 * A Prometheus counter that is counted in a plain map and read when somebody asks. For what is counted at every call: prom-client checks and hashes the
 * labels at each increment, which takes longer than a charge.
 */
import { Counter, type Registry } from "prom-client";

export class Tally<Label extends string> {
  readonly #sums = new Map<string, { readonly values: readonly string[]; sum: number }>();

  constructor(name: string, help: string, labels: readonly Label[], registry: Registry) {
    const sums = this.#sums;
    new Counter<Label>({
      name,
      help,
      labelNames: [...labels],
      registers: [registry],
      collect() {
        this.reset();
        for (const { values, sum } of sums.values()) this.labels(...values).inc(sum);
      },
    });
  }

  /** @param values of the labels, in their order */
  add(amount: number, ...values: readonly string[]): void {
    const key = values.join("\0");
    const known = this.#sums.get(key);
    if (known === undefined) this.#sums.set(key, { values, sum: amount });
    else known.sum += amount;
  }
}
