import { time } from "../sdk";

/** Milliseconds since the epoch, which budgets count in; Envoy's clock counts nanoseconds. */
export namespace milliseconds {
  /** One hostcall. */
  export function now(): i64 {
    return floor(time.now());
  }

  export function floor(nanoseconds: u64): i64 {
    return <i64>(nanoseconds / 1_000_000);
  }
}
