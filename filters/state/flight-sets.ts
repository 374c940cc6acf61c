/**
 * The flights of all workers of this Envoy in shared data: sets under fixed keys, changed by compare and swap.
 *
 *   key "tm.pf.1.<scope>." + two digits of the set
 *   set       |magic u32|0 u32| entry x (0..16)                                                     little-endian
 *   entry     |key u64 x 2|generation u64|at ms i64|workers that wait u64, a bit for each number|number u8|state u8|failures u8|0 u8 x 5|
 *
 * `number` and `generation` are those of the leader's worker (worker-slots.ts): an entry needs no heartbeat, because a worker that is gone takes all its flights with it. `at`: when it began, was given
 * up, or ended. An entry that has ended stays until its place is needed: who looked into the cache just before the end learns that looking again is worth it.
 *
 * At most 256 sets of 776 bytes. Any bytes are borne: what is no set counts as empty.
 */
import { Bytes, hexDigit, scratch, sharedData, Status } from "../sdk";
import { MAX_WORKERS, WorkerSlots } from "./worker-slots";

export const enum FlightState {
  None = 0,
  /** The leader of this worker makes the call. */
  Running = 1,
  /** The last leader has failed: whoever waits may take it. */
  Open = 2,
  Ended = 3,
}

/** Milliseconds for which an ended flight is told of. */
export const RECENT: i64 = 1000;
/** Milliseconds after which an open one is not wanted by anybody. */
const UNWANTED: i64 = 10_000;
/** Milliseconds that no call takes. */
const MOST_AGE: i64 = 3_600_000;

const WAYS: i32 = 16;
const SETS: u64 = 256;
const HEADER: i32 = 8;
const ENTRY: i32 = 48;
const MAGIC: u32 = 0x31466d74;
/** A version for keys that are missing. Envoy counts versions up from 1 and over all keys. */
const MISSING: u32 = 0xffffffff;

/** One entry of the loaded set. */
@unmanaged
export class FlightEntry {
  low: u64;
  high: u64;
  generation: u64;
  at: i64;
  waiting: u64;
  slot: u8;
  state: u8;
  failures: u8;
}

/** Milliseconds between two times, whatever the clock was set to. */
@inline
export function apart(one: i64, other: i64): i64 {
  const difference = one - other;
  return difference < 0 ? -difference : difference;
}

/** The key "tm.pf.1." + 16 digits of the scope + the tail. Allocates. */
export function flightKey(scope: u64, tail: string): Bytes {
  const key = Bytes.literal("tm.pf.1.________________" + tail);
  for (let digit = key.ptr + 23; digit > key.ptr + 7; digit--, scope >>= 4) store<u8>(digit, hexDigit(<u8>(scope & 15)));
  return key;
}

/** One set at a time: `load` copies it, its entries are changed in place, `save` writes it back. */
@final
export class FlightSets {
  private readonly key: Bytes;
  private readonly value: Bytes = new Bytes();
  private readonly draft: StaticArray<u8> = new StaticArray<u8>(HEADER + ENTRY * WAYS);
  private version: u32 = MISSING;

  constructor(scope: u64) {
    this.key = flightKey(scope, ".__");
  }

  /** The set of the key. False when the host refuses. One get. */
  load(low: u64): bool {
    const set = <u8>(low & (SETS - 1));
    const digits = this.key.ptr + <usize>(this.key.len - 2);
    store<u8>(digits, hexDigit(set >> 4));
    store<u8>(digits, hexDigit(set & 15), 1);
    const mark = scratch.mark();
    const value = this.value;
    const status = sharedData.get(this.key, value);
    const there = status == Status.Ok;
    if (there || status == Status.NotFound) {
      this.version = there ? sharedData.cas() : MISSING;
      const bytes = there && isSet(value) ? value.len : 0;
      const draft = changetype<usize>(this.draft);
      memory.copy(draft, value.ptr, bytes);
      memory.fill(draft + <usize>bytes, 0, HEADER + ENTRY * WAYS - bytes);
      scratch.rewind(mark);
      return true;
    }
    scratch.rewind(mark);
    return false;
  }

  /** `CasMismatch`: somebody else has written since `load`. What ended some time ago is left out. */
  save(now: i64): Status {
    let used = 0;
    for (let way = 0; way < WAYS; way++) {
      const entry = this.entry(way);
      if (entry.state == FlightState.Ended && apart(now, entry.at) > RECENT) entry.state = <u8>FlightState.None;
      if (entry.state == FlightState.None) memory.fill(changetype<usize>(entry), 0, ENTRY);
      else used = way + 1;
    }
    const draft = changetype<usize>(this.draft);
    store<u32>(draft, MAGIC);
    this.value.set(draft, HEADER + ENTRY * used);
    return sharedData.set(this.key, this.value, this.version);
  }

  /** The entry with the key; null when there is none. */
  find(low: u64, high: u64): FlightEntry | null {
    for (let way = 0; way < WAYS; way++) {
      const entry = this.entry(way);
      if (entry.low == low && entry.high == high && isValid(entry)) return entry;
    }
    return null;
  }

  /** A place for another entry, made empty; null when all are taken. With `slots`, those of workers that are gone are to be had, too. */
  room(now: i64, slots: WorkerSlots | null = null): FlightEntry | null {
    let best: FlightEntry | null = null;
    let most: i64 = -1;
    for (let way = 0; way < WAYS; way++) {
      const entry = this.entry(way);
      const age = apart(now, entry.at);
      let worth: i64 = -1;
      if (!isValid(entry)) worth = i64.MAX_VALUE;
      else if (entry.state == FlightState.Ended) worth = age;
      else if (entry.state == FlightState.Open) worth = age > UNWANTED ? age : -1;
      else if (age > MOST_AGE || (slots !== null && !isThere(entry, slots))) worth = age;
      if (worth <= most) continue;
      most = worth;
      best = entry;
    }
    if (best !== null) memory.fill(changetype<usize>(best), 0, ENTRY);
    return best;
  }

  @inline
  private entry(way: i32): FlightEntry {
    return changetype<FlightEntry>(changetype<usize>(this.draft) + <usize>(HEADER + ENTRY * way));
  }
}

/** The worker of its leader is there, as of the last `tick` or `look`. */
export function isThere(entry: FlightEntry, slots: WorkerSlots): bool {
  return ((slots.alive >> entry.slot) & 1) != 0 && slots.generationOf(entry.slot) == entry.generation;
}

/** No call takes as long as this one has. */
@inline
export function isStale(entry: FlightEntry, now: i64): bool {
  return apart(now, entry.at) > MOST_AGE;
}

@inline
function isValid(entry: FlightEntry): bool {
  return entry.state != FlightState.None && <i32>entry.state <= FlightState.Ended && entry.slot < <u8>MAX_WORKERS;
}

function isSet(value: Bytes): bool {
  const bytes = value.len - HEADER;
  return bytes >= 0 && bytes <= ENTRY * WAYS && bytes % ENTRY == 0 && load<u32>(value.ptr) == MAGIC;
}
