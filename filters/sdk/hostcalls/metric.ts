import { MetricType, Status } from "../abi";
import { Bytes } from "../bytes";
import { OUT } from "./out";

@external("env", "proxy_define_metric")
declare function proxy_define_metric(type: i32, name: usize, nameSize: i32, id: usize): i32;

@external("env", "proxy_increment_metric")
declare function proxy_increment_metric(id: u32, delta: i64): i32;

@external("env", "proxy_record_metric")
declare function proxy_record_metric(id: u32, value: i64): i32;

@external("env", "proxy_get_metric")
declare function proxy_get_metric(id: u32, value: usize): i32;

/**
 * A process-wide Envoy statistic, named `wasmcustom.<name>`. Every VM of an Envoy shares it: count in stream callbacks,
 * because code in `onConfigure` runs once per worker and twice more.
 */
@final
export class Metric {
  private constructor(
    readonly name: string,
    readonly type: MetricType,
    private readonly id: u32,
    private readonly defined: bool,
  ) {}

  /** Defines or finds the metric of that name. Not during `_initialize`: the host refuses hostcalls there. O(metrics of the VM). */
  static define(type: MetricType, name: string): Metric {
    for (let i = 0; i < known.length; i++) {
      if (known[i].type == type && known[i].name == name) return known[i];
    }
    const encoded = Bytes.literal(name);
    const status = proxy_define_metric(type, encoded.ptr, encoded.len, OUT);
    const metric = new Metric(name, type, status == Status.Ok ? load<u32>(OUT) : 0, status == Status.Ok);
    known.push(metric);
    return metric;
  }

  static counter(name: string): Metric {
    return Metric.define(MetricType.Counter, name);
  }

  static gauge(name: string): Metric {
    return Metric.define(MetricType.Gauge, name);
  }

  static histogram(name: string): Metric {
    return Metric.define(MetricType.Histogram, name);
  }

  /** Adds to a counter (positive) or gauge (either sign). Zero is skipped: Envoy answers `BadArgument` to it. */
  add(delta: i64): Status {
    if (!this.defined) return Status.NotFound;
    return delta == 0 ? Status.Ok : proxy_increment_metric(this.id, delta);
  }

  /** Sets a gauge or records a histogram value. */
  record(value: i64): Status {
    return this.defined ? proxy_record_metric(this.id, value) : Status.NotFound;
  }

  /** Current value of a counter or gauge; 0 when the host refuses. */
  value(): u64 {
    return this.defined && proxy_get_metric(this.id, OUT) == Status.Ok ? load<u64>(OUT) : 0;
  }
}

/** Defining twice gives a second id for the same statistic, so ids are kept for the life of the VM. */
const known: Metric[] = [];
