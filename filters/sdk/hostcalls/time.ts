import { Status } from "../abi";
import { OUT } from "./out";

@external("env", "proxy_get_current_time_nanoseconds")
declare function proxy_get_current_time_nanoseconds(time: usize): i32;

@external("env", "proxy_set_tick_period_milliseconds")
declare function proxy_set_tick_period_milliseconds(period: i32): i32;

export namespace time {
  /** Nanoseconds since the Unix epoch; 0 when the host refuses. Not monotonic. */
  export function now(): u64 {
    return proxy_get_current_time_nanoseconds(OUT) == Status.Ok ? load<u64>(OUT) : 0;
  }

  /** Period of `onTick` of the current root in milliseconds; 0 stops it. */
  export function setTickPeriod(milliseconds: i32): Status {
    return proxy_set_tick_period_milliseconds(milliseconds);
  }
}
