/**
 * Process-wide metrics and the per-VM numbers that stand for them. Defining a name again gives a new number for the same
 * metric. The low two bits of a number are the type, as in Envoy.
 */
import { MetricType, Status } from "./abi.ts";

interface Metric {
  type: number;
  value: bigint;
  /** Recorded values of a histogram. */
  samples: number[];
}

const typeMask = 3;
const idStep = 4;
const u64 = (value: bigint): bigint => BigInt.asUintN(64, value);

export class Metrics {
  readonly #byName = new Map<string, Metric>();

  /** The metric of that name and type, made on first use. A name may exist once per type. */
  open(type: number, name: string): Metric {
    const key = `${type} ${name}`;
    const metric = this.#byName.get(key) ?? { type, value: 0n, samples: [] };
    this.#byName.set(key, metric);
    return metric;
  }

  /** Value of a counter or gauge; undefined when nobody defined it. */
  get(name: string): number | undefined {
    const metric = this.#byName.get(`${MetricType.Counter} ${name}`) ?? this.#byName.get(`${MetricType.Gauge} ${name}`);
    return metric && Number(metric.value);
  }

  samples(name: string): number[] {
    return this.#byName.get(`${MetricType.Histogram} ${name}`)?.samples ?? [];
  }

  names(): string[] {
    return [...this.#byName.keys()].map((key) => key.slice(2)).sort();
  }
}

/** The metric numbers of one VM. */
export class MetricTable {
  readonly #metrics: Metrics;
  readonly #byId = new Map<number, Metric>();
  readonly #next = [0, 1, 2];

  constructor(metrics: Metrics) {
    this.#metrics = metrics;
  }

  define(type: number, name: string): number | undefined {
    const last = this.#next[type];
    if (last === undefined) return undefined;
    const id = last + idStep;
    this.#next[type] = id;
    this.#byId.set(id, this.#metrics.open(type, name));
    return id;
  }

  increment(id: number, offset: bigint): Status {
    const type = id & typeMask;
    if (type !== MetricType.Counter && type !== MetricType.Gauge) return Status.BadArgument;
    const metric = this.#byId.get(id);
    if (!metric) return Status.NotFound;
    if (type === MetricType.Counter && offset <= 0n) return Status.BadArgument;
    metric.value = u64(metric.value + offset);
    return Status.Ok;
  }

  record(id: number, value: bigint): Status {
    const metric = this.#byId.get(id);
    if (!metric) return Status.NotFound;
    if (metric.type === MetricType.Counter) metric.value = u64(metric.value + value);
    else if (metric.type === MetricType.Gauge) metric.value = u64(value);
    else metric.samples.push(Number(u64(value)));
    return Status.Ok;
  }

  value(id: number): bigint | Status {
    const type = id & typeMask;
    if (type !== MetricType.Counter && type !== MetricType.Gauge) return Status.BadArgument;
    return this.#byId.get(id)?.value ?? Status.NotFound;
  }
}
