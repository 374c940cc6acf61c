import { OUT } from "./out";

@external("wasi_snapshot_preview1", "random_get")
declare function random_get(buffer: usize, size: i32): i32;

export namespace random {
  /** 64 random bits, fit for names that nobody else has; 0 when the host refuses. Reference: WASI preview 1. */
  export function bits(): u64 {
    return random_get(OUT, 8) == 0 ? load<u64>(OUT) : 0;
  }
}
