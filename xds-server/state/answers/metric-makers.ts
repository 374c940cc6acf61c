/** How the metrics of this folder are made: `tokenmesh_answers_NAME`, in the server's registry. */
import { Counter, Gauge, type Registry } from "prom-client";

export function metricMakers(registry: Registry) {
  const registers = [registry];
  return {
    /** With one label, whose values are fixed and begin at 0. */
    counter: <T extends string>(name: string, help: string, label: T, values: readonly string[]): Counter<T> => {
      const made = new Counter<T>({ name: `tokenmesh_answers_${name}`, help, labelNames: [label], registers });
      for (const value of values) made.inc({ [label]: value } as Record<T, string>, 0);
      return made;
    },
    /** @param read called when metrics are collected */
    gauge: (name: string, help: string, read: () => number): Gauge =>
      new Gauge({
        name: `tokenmesh_answers_${name}`,
        help,
        registers,
        collect() {
          this.set(read());
        },
      }),
  };
}
