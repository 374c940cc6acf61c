/**
 * Peak EWMA of the time to the first byte: rises to a slower answer at once, falls slowly to faster ones, by age and not by number of answers. A failure
 * counts as a slow answer, or the endpoint that fails fastest would look best.
 *
 * Source: Finagle's and linkerd's peak EWMA.
 */
import { EndpointMask } from "./endpoint-mask";

@final
export class ResponseTimes {
  private readonly averages: StaticArray<f64>;
  private readonly at: StaticArray<i64>;
  private readonly known: StaticArray<bool>;

  constructor(
    capacity: i32,
    private readonly unknownMs: f64,
    private readonly decayMs: f64,
  ) {
    this.averages = new StaticArray<f64>(capacity);
    this.at = new StaticArray<i64>(capacity);
    this.known = new StaticArray<bool>(capacity);
  }

  reset(slot: i32): void {
    this.known[slot] = false;
  }

  /** An answer took `ms`. */
  observe(slot: i32, ms: f64, now: i64): void {
    const before = this.averages[slot];
    if (!this.known[slot] || ms >= before) this.averages[slot] = ms;
    else {
      const age = <f64>(now - this.at[slot]);
      const kept = Math.exp(-(age < 0 ? 0 : age) / this.decayMs);
      this.averages[slot] = before * kept + ms * (1 - kept);
    }
    this.known[slot] = true;
    this.at[slot] = now;
  }

  isKnown(slot: i32): bool {
    return unchecked(this.known[slot]);
  }

  /** ms: the least average that is known of these endpoints; that of an unknown one if none is. */
  fastest(among: EndpointMask, now: i64): f64 {
    let least = Infinity;
    for (let slot = among.next(0); slot >= 0; slot = among.next(slot + 1)) {
      if (unchecked(this.known[slot])) least = min(least, this.average(slot, now));
    }
    return least == Infinity ? this.unknownMs : least;
  }

  /** ms; what is known fades, so that an endpoint is tried again that was slow long ago. */
  average(slot: i32, now: i64): f64 {
    if (!unchecked(this.known[slot])) return this.unknownMs;
    const age = <f64>(now - unchecked(this.at[slot]));
    return age <= 0 ? unchecked(this.averages[slot]) : unchecked(this.averages[slot]) * Math.exp(-age / this.decayMs);
  }
}
