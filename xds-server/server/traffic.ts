/**
 * What is counted of every response and of every answer to one, by type, in plain numbers: a labelled counter of the metrics library builds a key of its labels each time it is
 * counted up, which costs more than all the rest of a push. The numbers are exported when they are read.
 */
import { Counter, type Metric, type Registry } from "prom-client";

/** A histogram of durations. */
export class Durations {
  /** By bound, and those beyond all bounds. */
  readonly #counts: number[];
  readonly #bounds: readonly number[];
  #sum = 0;
  #count = 0;

  /** @param bounds upper bounds of the buckets in seconds, ascending */
  constructor(bounds: readonly number[]) {
    this.#bounds = bounds;
    this.#counts = bounds.map(() => 0);
  }

  get count(): number {
    return this.#count;
  }

  /** O(bounds). */
  observe(seconds: number): void {
    const bounds = this.#bounds;
    let bucket = 0;
    while (bucket < bounds.length && seconds > (bounds[bucket] as number)) bucket++;
    if (bucket < bounds.length) (this.#counts[bucket] as number)++;
    this.#sum += seconds;
    this.#count++;
  }

  /** The samples of a Prometheus histogram. */
  samples(name: string, labels: Readonly<Record<string, string>>): readonly Sample[] {
    let below = 0;
    const buckets = this.#bounds.map((bound, index) => {
      below += this.#counts[index] as number;
      return { metricName: `${name}_bucket`, labels: { le: bound, ...labels }, value: below };
    });
    return [
      ...buckets,
      { metricName: `${name}_bucket`, labels: { le: "+Inf", ...labels }, value: this.#count },
      { metricName: `${name}_sum`, labels: { ...labels }, value: this.#sum },
      { metricName: `${name}_count`, labels: { ...labels }, value: this.#count },
    ];
  }
}

export interface Sample {
  readonly metricName: string;
  readonly labels: Readonly<Record<string, string | number>>;
  readonly value: number;
}

/** Of one type. */
export class TypeTraffic {
  pushes = 0;
  pushedBytes = 0;
  /** Requests by what they turned out to be. */
  readonly requests = new Map<string, number>();
  /** From a change to what a stream was sent of it. */
  readonly pushSeconds: Durations;
  /** From a response to its ACK or NACK. */
  readonly ackSeconds: Durations;

  constructor(bounds: readonly number[]) {
    this.pushSeconds = new Durations(bounds);
    this.ackSeconds = new Durations(bounds);
  }

  requested(kind: string): void {
    this.requests.set(kind, (this.requests.get(kind) ?? 0) + 1);
  }
}

export class Traffic {
  readonly #types = new Map<string, TypeTraffic>();
  readonly #bounds: readonly number[];

  /** Registers the metrics. @param bounds see {@link Durations} */
  constructor(registry: Registry, bounds: readonly number[]) {
    this.#bounds = bounds;
    const types = this.#types;
    const registers = [registry];
    new Counter({
      name: "tokenmesh_xds_requests_total",
      help: "Discovery requests by type and what they turned out to be (subscribe, ack, nack, stale, unknown-type).",
      labelNames: ["type", "kind"],
      registers,
      collect() {
        this.reset();
        for (const [type, { requests }] of types) for (const [kind, count] of requests) this.inc({ type, kind }, count);
      },
    });
    const counter = (name: string, help: string, count: (type: TypeTraffic) => number) =>
      new Counter({
        ...{ name, help, registers },
        labelNames: ["type"],
        collect() {
          this.reset();
          for (const [type, traffic] of types) if (traffic.pushes > 0) this.inc({ type }, count(traffic));
        },
      });
    counter("tokenmesh_xds_pushes_total", "Discovery responses sent, by type.", ({ pushes }) => pushes);
    counter(
      "tokenmesh_xds_pushed_bytes_total",
      "Bytes of discovery responses sent, by type.",
      ({ pushedBytes }) => pushedBytes,
    );
    this.#histogram(
      registry,
      "tokenmesh_xds_push_seconds",
      "From a change to the response that a stream was sent of it, by type.",
      ({ pushSeconds }) => pushSeconds,
    );
    this.#histogram(
      registry,
      "tokenmesh_xds_ack_seconds",
      "From a response to its ACK or NACK, by type.",
      ({ ackSeconds }) => ackSeconds,
    );
  }

  /** @param type its short name: CDS, EDS, ..., or `other` */
  of(type: string): TypeTraffic {
    let traffic = this.#types.get(type);
    if (traffic === undefined) {
      traffic = new TypeTraffic(this.#bounds);
      this.#types.set(type, traffic);
    }
    return traffic;
  }

  #histogram(registry: Registry, name: string, help: string, durations: (type: TypeTraffic) => Durations): void {
    const samples = (): readonly Sample[] =>
      [...this.#types].flatMap(([type, traffic]) => {
        const each = durations(traffic);
        return each.count === 0 ? [] : each.samples(name, { type });
      });
    // The library's own histogram cannot be given counts; the registry asks no more of a metric than this.
    const metric = {
      name,
      help,
      type: "histogram",
      aggregator: "sum",
      get: async () => ({ ...metric, values: samples() }),
    };
    registry.registerMetric(metric as unknown as Metric);
  }
}
