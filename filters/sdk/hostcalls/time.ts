import { Status } from "../abi";
import { scratch } from "../scratch";
import { OUT } from "./out";

@external("env", "proxy_get_current_time_nanoseconds")
declare function proxy_get_current_time_nanoseconds(time: usize): i32;

@external("env", "proxy_set_tick_period_milliseconds")
declare function proxy_set_tick_period_milliseconds(period: i32): i32;

/** What `now` last said, and in which callback. */
let known: u64 = 0;
let callback: u32 = u32.MAX_VALUE;

export namespace time {
  /** Nanoseconds since the Unix epoch, as of the first question within the outermost callback: one hostcall for each. 0 when the host refuses. Not monotonic. */
  export function now(): u64 {
    if (callback == scratch.callback) return known;
    callback = scratch.callback;
    known = read();
    return known;
  }

  /** The same at this very moment, for who measures. A hostcall. */
  export function read(): u64 {
    return proxy_get_current_time_nanoseconds(OUT) == Status.Ok ? load<u64>(OUT) : 0;
  }

  /** Period of `onTick` of the current root in milliseconds; 0 stops it. */
  export function setTickPeriod(milliseconds: i32): Status {
    return proxy_set_tick_period_milliseconds(milliseconds);
  }
}
