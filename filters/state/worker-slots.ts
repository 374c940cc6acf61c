/**
 * Which workers of this Envoy are there: each takes one of 64 numbers, under which it tells the others what it does (load-board.ts, prefix-gossip.ts).
 *
 * A worker whose VM trapped says nothing at the end, and its streams are gone; so a number is held only as long as it is confirmed, and whoever takes it next gets a new generation. What was
 * written under an old one counts no more.
 *
 * One value of shared data has all numbers, changed by compare and swap, so two never get the same:
 *
 *   key "tm.ep.1.<scope>.w"   |magic u32|0 u32|last generation u64| slot x (1..64)
 *   slot                      |generation u64, 0: free|confirmed at, ms << 1, and 1 when it carries traffic u64|                                little-endian
 *
 * A key for each would spare the compare and swap, which workers do about once a second, and cost 64 reads to know who is there, which they do at each tick.
 *
 * Any bytes are borne: what is no such value is as none at all, and all take numbers anew.
 */
import { Bytes, hexDigit, scratch, sharedData, Status } from "../sdk";

export const MAX_WORKERS: i32 = 64;

/** Milliseconds after which a number that was not confirmed is free: some ticks of a VM that is busy, and few enough for its dead streams to be forgotten soon. */
export const DEAD: i64 = 3000;
/** Milliseconds between confirmations: every second tick of an idle VM. */
const BEAT: i64 = 850;
/** Milliseconds that a worker counts as one with traffic after the last of it: others read what it says, and it may be elected. */
const ACTIVE: i64 = 10_000;

/** A version for keys that are missing. Envoy counts versions up from 1 and over all keys. */
const MISSING: u32 = 0xffffffff;
/** Lost races before it is left to the next tick. Each is lost to a write that succeeded. */
const TRIES: i32 = 8;
const MAGIC: u32 = 0x31576d74;
const HEADER: usize = 16;
const SLOT: usize = 16;

@final
export class WorkerSlots {
  /** The number of this worker; -1: none yet, or none is free. */
  index: i32 = -1;
  /** Of the number; each is given once in the life of the Envoy. */
  generation: u64 = 0;
  /** The others that are there and carry traffic, a bit for each number. As of the last `tick` or `look`. */
  others: u64 = 0;
  /** All that are there, this one too. */
  alive: u64 = 0;
  /** How often the number was lost because it was not confirmed in time. */
  lost: u32 = 0;
  /** Ticks at which the host refused, or all races were lost. */
  unavailable: u32 = 0;

  private wanted: bool = false;
  private lastTraffic: i64 = 0;
  private confirmedAt: i64 = 0;
  private confirmedActive: bool = false;

  /** What the value says. */
  private last: u64 = 0;
  private readonly generations: StaticArray<u64> = new StaticArray<u64>(MAX_WORKERS);
  private readonly words: StaticArray<u64> = new StaticArray<u64>(MAX_WORKERS);
  private version: u32 = MISSING;

  private readonly key: Bytes;
  private readonly value: Bytes = new Bytes();
  private readonly out: StaticArray<u8> = new StaticArray<u8>(<i32>(HEADER + SLOT * <usize>MAX_WORKERS));
  private readonly outView: Bytes = new Bytes();

  /** `scope`: hash of what the workers have in common, such as the name of the plugin; others do not see them. */
  constructor(readonly scope: u64) {
    this.key = stateKey(scope, ".w");
  }

  /** This worker has something to tell; the first call makes it take a number at the next tick. No hostcall. `now`, here and below: ms since 1970. */
  @inline
  traffic(now: i64): void {
    this.wanted = true;
    this.lastTraffic = now;
  }

  isActive(now: i64): bool {
    return this.wanted && distance(now, this.lastTraffic) <= ACTIVE;
  }

  /**
   * Takes or confirms the number, and sees who else is there. For every tick and moment, before anything else of this folder. True when the worker has a number, which nobody else takes in the next two seconds.
   * One get, and a set about once a second; nothing before the first traffic.
   */
  tick(now: i64): bool {
    if (!this.wanted) return false;
    const mark = scratch.mark();
    const done = this.confirm(now);
    scratch.rewind(mark);
    if (!done) {
      this.unavailable++;
      // Somebody else may have it by now.
      if (this.index >= 0 && distance(now, this.confirmedAt) > DEAD) this.forget();
    }
    this.judge(now);
    return this.index >= 0;
  }

  /** Only sees who else is there. One get. False when the host refuses: then it goes by what was there last. */
  look(now: i64): bool {
    const mark = scratch.mark();
    const readable = this.load();
    scratch.rewind(mark);
    this.judge(now);
    return readable;
  }

  /** Gives the number back: what is written under it counts no more. For the end of the configuration. */
  leave(): void {
    this.wanted = false;
    if (this.index < 0) return;
    const mark = scratch.mark();
    for (let round = 0; round < TRIES; round++) {
      scratch.rewind(mark);
      if (!this.load() || !this.holds()) break;
      unchecked((this.generations[this.index] = 0));
      if (this.save() != Status.CasMismatch) break;
    }
    scratch.rewind(mark);
    this.forget();
  }

  generationOf(slot: i32): u64 {
    return unchecked(this.generations[slot]);
  }

  /** False when it has to be tried again. */
  private confirm(now: i64): bool {
    const mark = scratch.mark();
    const active = this.isActive(now);
    for (let round = 0; round < TRIES; round++) {
      scratch.rewind(mark);
      if (!this.load()) return false;
      if (this.index >= 0 && !this.holds()) {
        this.lost++;
        this.forget();
      }
      if (this.index >= 0 && active == this.confirmedActive && distance(now, this.confirmedAt) < BEAT) return true;
      const slot = this.index >= 0 ? this.index : this.free(now);
      // More workers than numbers: this one only hears the others.
      if (slot < 0) return true;
      // The time keeps generations apart from those of a value that somebody has spoilt.
      const generation = this.index >= 0 ? this.generation : max(this.last + 1, <u64>max(now, 0) << 12);
      this.last = max(this.last, generation);
      unchecked((this.generations[slot] = generation));
      unchecked((this.words[slot] = (<u64>max(now, 0) << 1) | <u64>active));
      const status = this.save();
      if (status == Status.CasMismatch) continue;
      if (status != Status.Ok) return false;
      this.index = slot;
      this.generation = generation;
      this.confirmedAt = now;
      this.confirmedActive = active;
      return true;
    }
    return false;
  }

  @inline
  private holds(): bool {
    return unchecked(this.generations[this.index]) == this.generation;
  }

  private forget(): void {
    this.index = -1;
    this.generation = 0;
  }

  private free(now: i64): i32 {
    for (let slot = 0; slot < MAX_WORKERS; slot++) if (!this.isAlive(slot, now)) return slot;
    return -1;
  }

  /** A time far ahead is as old as one far back: the clock was set. */
  private isAlive(slot: i32, now: i64): bool {
    return unchecked(this.generations[slot]) != 0 && distance(now, <i64>(unchecked(this.words[slot]) >> 1)) <= DEAD;
  }

  private judge(now: i64): void {
    let alive: u64 = 0;
    let others: u64 = 0;
    for (let slot = 0; slot < MAX_WORKERS; slot++) {
      if (!this.isAlive(slot, now)) continue;
      const bit = <u64>1 << slot;
      alive |= bit;
      if (slot != this.index && (unchecked(this.words[slot]) & 1) != 0) others |= bit;
    }
    this.alive = alive;
    this.others = others;
  }

  /** False when the host refuses: then all is as it was. */
  private load(): bool {
    const value = this.value;
    const status = sharedData.get(this.key, value);
    if (status != Status.Ok && status != Status.NotFound) return false;
    this.version = status == Status.Ok ? sharedData.cas() : MISSING;
    const slots = status == Status.Ok ? slotsOf(value) : 0;
    this.last = slots > 0 ? load<u64>(value.ptr, 8) : 0;
    let at = value.ptr + HEADER;
    for (let slot = 0; slot < MAX_WORKERS; slot++) {
      const there = slot < slots;
      unchecked((this.generations[slot] = there ? load<u64>(at) : 0));
      unchecked((this.words[slot] = there ? load<u64>(at, 8) : 0));
      at += SLOT;
    }
    return true;
  }

  private save(): Status {
    const out = changetype<usize>(this.out);
    let used = 1;
    for (let slot = 0; slot < MAX_WORKERS; slot++) {
      const generation = unchecked(this.generations[slot]);
      const at = out + HEADER + <usize>slot * SLOT;
      store<u64>(at, generation);
      store<u64>(at, unchecked(this.words[slot]), 8);
      if (generation != 0) used = slot + 1;
    }
    store<u32>(out, MAGIC);
    store<u32>(out, 0, 4);
    store<u64>(out, this.last, 8);
    this.outView.set(out, <i32>(HEADER + SLOT * <usize>used));
    return sharedData.set(this.key, this.outView, this.version);
  }
}

/** How many slots the value has; 0 when it is none of ours. */
function slotsOf(value: Bytes): i32 {
  const bytes = <usize>value.len;
  if (bytes < HEADER + SLOT || bytes > HEADER + SLOT * <usize>MAX_WORKERS || (bytes - HEADER) % SLOT != 0) return 0;
  // A generation can only be so large when the bytes are wrong; one more of it must not be 0.
  if (load<u32>(value.ptr) != MAGIC || load<i64>(value.ptr, 8) < 0) return 0;
  return <i32>((bytes - HEADER) / SLOT);
}

@inline
function distance(one: i64, other: i64): i64 {
  const difference = one - other;
  return difference < 0 ? -difference : difference;
}

/** The key "tm.ep.1." + 16 digits of the hash + the tail. Allocates. */
export function stateKey(hash: u64, tail: string): Bytes {
  const key = Bytes.literal("tm.ep.1.________________" + tail);
  for (let digit = key.ptr + 23; digit > key.ptr + 7; digit--, hash >>= 4) store<u8>(digit, hexDigit(<u8>(hash & 15)));
  return key;
}

/** One of 64 printable characters for a number in a key: "0" to "o". */
@inline
export function keyDigit(value: i32): u8 {
  return <u8>(48 + (value & 63));
}
