import { LogLevel, Status } from "../abi";
import { Bytes } from "../bytes";
import { LOG_TEXT } from "../limits";
import { ByteWriter } from "../writer";
import { OUT } from "./out";

@external("env", "proxy_log")
declare function proxy_log(level: i32, message: usize, size: i32): i32;

@external("env", "proxy_get_log_level")
declare function proxy_get_log_level(level: usize): i32;

let threshold: LogLevel = LogLevel.Info;
const line = new ByteWriter();

export namespace log {
  /**
   * Asks the host for its level. The SDK does so when a plugin is configured and on every tick, so that `enabled` costs no
   * hostcall; a level changed at run time is followed at the next tick.
   */
  export function refreshLevel(): void {
    if (proxy_get_log_level(OUT) == Status.Ok) threshold = load<i32>(OUT);
  }

  /** True when a message of `level` would be written; build messages only behind it. */
  @inline
  export function enabled(level: LogLevel): bool {
    return level >= threshold;
  }

  export function bytes(level: LogLevel, message: Bytes): Status {
    return proxy_log(level, message.ptr, message.len);
  }

  /** Logs UTF-16 text, cut at `LOG_TEXT` units. */
  export function text(level: LogLevel, message: string): Status {
    if (!enabled(level)) return Status.Ok;
    line.reset().text(message.length > LOG_TEXT ? message.substring(0, LOG_TEXT) : message);
    return bytes(level, line.view());
  }
}
