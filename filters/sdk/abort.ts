/**
 * What AssemblyScript calls before it traps. The default import `env.abort` does not exist in Envoy, and a trap kills
 * every stream of the worker, so the one thing left to do is to say where it happened.
 * Wired by `--use abort=filters/sdk/abort/abort`; a module that does not import this file does not link.
 */
import { LogLevel } from "./abi";
import { LOG_TEXT } from "./limits";

@external("env", "proxy_log")
declare function proxy_log(level: i32, message: usize, size: i32): i32;

/** Fixed memory: the heap may be what failed. One UTF-16 unit needs at most three bytes of UTF-8. */
const buffer: usize = memory.data(8192);

// @ts-ignore: decorator
@global
export function abort(message: string | null, file: string | null, line: u32, column: u32): void {
  let at = write(buffer, "abort: ");
  at = write(at, message !== null ? message : "no message");
  at = write(at, " at ");
  at = write(at, file !== null ? file : "unknown");
  at = write(at, ":");
  at = writeDecimal(at, line);
  at = write(at, ":");
  at = writeDecimal(at, column);
  proxy_log(LogLevel.Critical, buffer, <i32>(at - buffer));
  unreachable();
}

function write(at: usize, text: string): usize {
  const room = <i32>(buffer + 8192 - at) / 3;
  const units = min(text.length, min(room, LOG_TEXT));
  return at + String.UTF8.encodeUnsafe(changetype<usize>(text), units, at);
}

function writeDecimal(at: usize, value: u32): usize {
  let divisor: u32 = 1;
  while (value / divisor >= 10) divisor *= 10;
  for (; divisor != 0; divisor /= 10) store<u8>(at++, <u8>(48 + ((value / divisor) % 10)));
  return at;
}
