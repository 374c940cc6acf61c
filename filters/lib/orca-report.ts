/**
 * Reads what an engine says of its load in a header of its answer (ORCA): requests that wait and run, and how much of its KV cache is in use.
 *
 *   TEXT named_metrics.num_requests_waiting=3, named_metrics.kv_cache_usage_perc=0.42
 *   JSON {"named_metrics": {"num_requests_waiting": 3, "kv_cache_usage_perc": 0.42}}
 *
 * Both are read alike: the name of a metric, and the number behind it. A name counts only where it stands by itself. Nothing is allocated; what is no
 * number from 0 on says nothing. Reference: envoyproxy.io "endpoint-load-metrics", github.com/cncf/xds OrcaLoadReport; names are those of vLLM.
 */
import { jsonNumber } from "./json-number";

const WAITING = "num_requests_waiting";
const RUNNING = "num_requests_running";
const CACHE = "kv_cache_usage_perc";
const OLD_CACHE = "gpu_cache_usage_perc";

/** A header is no longer than this, as far as it is read. */
const MOST_BYTES: i32 = 8192;
/** Larger counts are no counts. */
const MOST_REQUESTS: f64 = 1_000_000;

@final
export class OrcaReport {
  /** Requests, and permille of the cache; -1 where the header does not say. */
  waiting: i32 = -1;
  running: i32 = -1;
  kvPermille: i32 = -1;

  /** Reads the value of the header. True when it says how many requests wait or run, or how full the cache is. O(length). */
  read(at: usize, length: i32): bool {
    this.waiting = -1;
    this.running = -1;
    this.kvPermille = -1;
    const end = at + <usize>min(length, MOST_BYTES);
    while (at < end) {
      if (!isName(load<u8>(at))) {
        at++;
        continue;
      }
      const name = at;
      while (at < end && isName(load<u8>(at))) at++;
      this.take(name, <i32>(at - name), at, end);
    }
    return (this.waiting & this.running & this.kvPermille) != -1;
  }

  private take(name: usize, length: i32, at: usize, end: usize): void {
    if (isWord(name, length, WAITING)) this.waiting = count(number(at, end));
    else if (isWord(name, length, RUNNING)) this.running = count(number(at, end));
    else if (isWord(name, length, CACHE) || isWord(name, length, OLD_CACHE)) this.kvPermille = permille(number(at, end));
  }
}

/** The number behind `=` or `:`, whatever quotes and spaces stand between; NaN for none. */
function number(at: usize, end: usize): f64 {
  let separated = false;
  for (; at < end; at++) {
    const byte = load<u8>(at);
    if (byte == 0x3d || byte == 0x3a) {
      if (separated) return NaN;
      separated = true;
    } else if (byte != 0x22 && byte != 0x20) break;
  }
  const from = at;
  while (at < end && isNumeric(load<u8>(at))) at++;
  return separated ? jsonNumber(from, <i32>(at - from)) : NaN;
}

function count(value: f64): i32 {
  return value >= 0 && value <= MOST_REQUESTS ? <i32>value : -1;
}

function permille(value: f64): i32 {
  return value >= 0 && value <= 1 ? <i32>Math.round(value * 1000) : -1;
}

/** Letters, digits and `_`; a dot ends a name, so `named_metrics.` in front is another one. */
function isName(byte: u8): bool {
  return (byte | 0x20) - 97 < 26 || byte - 48 < 10 || byte == 0x5f;
}

function isNumeric(byte: u8): bool {
  return byte - 48 < 10 || byte == 0x2e || byte == 0x2d || byte == 0x2b || (byte | 0x20) == 0x65;
}

function isWord(at: usize, length: i32, word: string): bool {
  if (length != word.length) return false;
  for (let i = 0; i < length; i++) if (load<u8>(at + <usize>i) != <u8>word.charCodeAt(i)) return false;
  return true;
}
