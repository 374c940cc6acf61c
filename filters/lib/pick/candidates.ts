import { EndpointMask, MAX_ENDPOINTS } from "./endpoint-mask";

/** The endpoints that a request may go to, and what a policy compares them by, all taken at one moment. Numbers of slots outside `mask` mean nothing. */
@final
export class Candidates {
  readonly mask: EndpointMask = new EndpointMask();
  /** Requests sent and not over: of all workers, and what other gateways seem to have there. */
  readonly inflight: StaticArray<i32> = new StaticArray<i32>(MAX_ENDPOINTS);
  /** Uncached prompt tokens of requests without a first byte. */
  readonly pending: StaticArray<f64> = new StaticArray<f64>(MAX_ENDPOINTS);
  /** Weight, less while the endpoint starts slowly. */
  readonly power: StaticArray<f64> = new StaticArray<f64>(MAX_ENDPOINTS);
  count: i32 = 0;
  totalInflight: i64 = 0;
  totalPower: f64 = 0;
  /** All have the same power. */
  even: bool = true;
  /** There was nobody but quarantined endpoints. */
  desperate: bool = false;

  /** Sums again, after `mask` changed. O(candidates). */
  sum(): void {
    this.count = 0;
    this.totalInflight = 0;
    this.totalPower = 0;
    this.even = true;
    let first: f64 = 0;
    for (let slot = this.mask.next(0); slot >= 0; slot = this.mask.next(slot + 1)) {
      const power = unchecked(this.power[slot]);
      if (this.count++ == 0) first = power;
      else if (power != first) this.even = false;
      this.totalInflight += <i64>unchecked(this.inflight[slot]);
      this.totalPower += power;
    }
  }

  /** Power of a slot in multiples of the mean: 1 when all are alike. */
  @inline
  share(slot: i32): f64 {
    return (unchecked(this.power[slot]) * <f64>this.count) / this.totalPower;
  }
}
