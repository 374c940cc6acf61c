/**
 * What was purged, for all workers: a stored answer whose request was sent before a purge that means it is dead, wherever it lies and whenever it is stored.
 *
 *   key "tm.pp.1"
 *   value    |magic u32|records u32|all before, ms i64|epoch u64|sequence u64| record x (0..64)                 at most 2 KiB, little-endian
 *   record   |kind u32|0 u32|low u64|high u64|at, ms i64|
 *
 * A purge costs its record and nothing else: no store is searched. When there are too many records, the oldest one becomes "all before"; that purges too much, never too little.
 */
import { Bytes, scratch, sharedData, Status } from "../sdk";
import { AnswerMeta, LONGEST_LIFE } from "./answer-entry";

/** What a record means; numbers of the answer service. */
export const enum Purge {
  Key = 1,
  Model = 2,
  Tenant = 3,
  All = 4,
}

const MAX_PURGES: i32 = 64;

/** A version for keys that are missing, see set-storage.ts. */
const MISSING: u32 = 0xffffffff;
const MAGIC: u32 = 0x31506d74;
const HEADER: i32 = 32;
const RECORD: i32 = 32;
const MOST_BYTES: i32 = HEADER + MAX_PURGES * RECORD;
const TRIES: i32 = 8;
/** Milliseconds for which `refresh` takes the list for new enough. */
const FRESH: i64 = 250;
const NEVER: i64 = i64.MIN_VALUE / 2;

@final
export class PurgeList {
  /** The list as it was read last. */
  private readonly list: StaticArray<u8> = new StaticArray<u8>(MOST_BYTES);
  private readonly draft: StaticArray<u8> = new StaticArray<u8>(MOST_BYTES);
  private readAt: i64 = NEVER;
  /** Of `list`; 0: nothing was ever read. */
  private version: u32 = 0;
  private readonly key: Bytes = Bytes.literal("tm.pp.1");
  private readonly value: Bytes = new Bytes();

  /** It was read once. Before, nobody knows what is dead. */
  get isKnown(): bool {
    return this.readAt != NEVER;
  }

  /** How far the feed of the answer service was followed, by whichever worker. */
  get epoch(): u64 {
    return load<u64>(changetype<usize>(this.list), 16);
  }

  get sequence(): u64 {
    return load<u64>(changetype<usize>(this.list), 24);
  }

  get records(): i32 {
    return countOf(changetype<usize>(this.list));
  }

  /** Answers to requests that were sent until then, ms since 1970, are dead whatever they are. */
  get allBefore(): i64 {
    return load<i64>(changetype<usize>(this.list), 8);
  }

  /** Gets the list. One get. True when there was news; when the host refuses, all stays as it was, and the next `refresh` tries again. */
  read(now: i64): bool {
    const mark = scratch.mark();
    const status = sharedData.get(this.key, this.value);
    const before = this.version;
    const readable = status == Status.Ok || status == Status.NotFound;
    if (status == Status.Ok && sharedData.cas() != before) this.take();
    scratch.rewind(mark);
    if (readable) this.readAt = now;
    return this.version != before;
  }

  /** `read`, unless that was done in the last 250 ms. */
  refresh(now: i64): bool {
    const age = now - this.readAt;
    return (age < 0 || age >= FRESH) && this.read(now);
  }

  /**
   * Everything that `kind`, `low` and `high` mean and that was requested until `at` is dead from now on. Of a model or a tenant `low` is the hash. An `at` ahead of `now` is now: a purge is not
   * about what comes. (When the clock is set back, it is, until then: else what was purged would be there again once the clock is right.) A get and a set. False when it is not written and has
   * to be tried again.
   */
  add(kind: Purge, low: u64, high: u64, at: i64, now: i64): bool {
    const mark = scratch.mark();
    const draft = changetype<usize>(this.draft);
    const until = max(min(at, now), 0);
    let status = Status.CasMismatch;
    for (let round = 0; round < TRIES && status == Status.CasMismatch; round++) {
      scratch.rewind(mark);
      const version = this.load(now);
      if (version == 0) break;
      if (kind == Purge.All) store<i64>(draft, max(load<i64>(draft, 8), until), 8);
      else enter(draft, kind, low, kind == Purge.Key ? high : 0, until);
      tidy(draft, now);
      status = this.save(version, now);
    }
    scratch.rewind(mark);
    return status == Status.Ok;
  }

  /** All records up to `sequence` of the feed are in the list. A get and a set. False when it is not written: then somebody reads them again, which changes nothing. */
  follow(epoch: u64, sequence: u64, now: i64): bool {
    const mark = scratch.mark();
    const draft = changetype<usize>(this.draft);
    let status = Status.CasMismatch;
    for (let round = 0; round < TRIES && status == Status.CasMismatch; round++) {
      scratch.rewind(mark);
      const version = this.load(now);
      if (version == 0) break;
      store<u64>(draft, epoch, 16);
      store<u64>(draft, sequence, 24);
      status = this.save(version, now);
    }
    scratch.rewind(mark);
    return status == Status.Ok;
  }

  /** The answer must not be served, nor stored. O(records), no hostcall: as of the last `read`. */
  isDead(low: u64, high: u64, meta: AnswerMeta): bool {
    const list = changetype<usize>(this.list);
    const storedAt = meta.storedAt;
    const allBefore = this.allBefore;
    if (allBefore > 0 && storedAt <= allBefore) return true;
    const end = list + <usize>sizeOf(list);
    for (let at = list + HEADER; at < end; at += RECORD) {
      if (storedAt > load<i64>(at, 24)) continue;
      const target = load<u64>(at, 8);
      const kind = load<u32>(at);
      if (kind == Purge.Key && target == low && load<u64>(at, 16) == high) return true;
      if (kind == Purge.Model && target == meta.model) return true;
      if (kind == Purge.Tenant && target == meta.tenant) return true;
    }
    return false;
  }

  /** Puts what is there, or an empty list, into `draft`; returns its version, 0 when the host refuses. */
  private load(now: i64): u32 {
    const draft = changetype<usize>(this.draft);
    const status = sharedData.get(this.key, this.value);
    if (status != Status.Ok && status != Status.NotFound) return 0;
    if (status == Status.Ok && isList(this.value)) {
      const version = sharedData.cas();
      memory.copy(draft, this.value.ptr, this.value.len);
      tidy(draft, now);
      return version;
    }
    const own = changetype<usize>(this.list);
    // Wrong bytes: what this worker knows is the best there is.
    if (this.version != 0) memory.copy(draft, own, sizeOf(own));
    else memory.fill(draft, 0, HEADER);
    store<u32>(draft, MAGIC);
    return status == Status.Ok ? sharedData.cas() : MISSING;
  }

  /** Writes `draft`; it is what this worker goes by, too. */
  private save(version: u32, now: i64): Status {
    const draft = changetype<usize>(this.draft);
    this.value.set(draft, sizeOf(draft));
    const status = sharedData.set(this.key, this.value, version);
    if (status != Status.Ok) return status;
    memory.copy(changetype<usize>(this.list), draft, sizeOf(draft));
    // Which version it has got, nobody says; the next `read` takes it once more.
    this.version = MISSING;
    this.readAt = now;
    return status;
  }

  private take(): void {
    if (!isList(this.value)) return;
    memory.copy(changetype<usize>(this.list), this.value.ptr, this.value.len);
    this.version = sharedData.cas();
  }
}

function isList(value: Bytes): bool {
  if (value.len < HEADER || load<u32>(value.ptr) != MAGIC) return false;
  const count = load<u32>(value.ptr, 4);
  return count <= <u32>MAX_PURGES && value.len == HEADER + <i32>count * RECORD;
}

@inline
function countOf(list: usize): i32 {
  return load<i32>(list, 4);
}

@inline
function sizeOf(list: usize): i32 {
  return HEADER + countOf(list) * RECORD;
}

/** Adds a record or moves the time of the one there is; makes room for it. */
function enter(list: usize, kind: u32, low: u64, high: u64, until: i64): void {
  let end = list + <usize>sizeOf(list);
  for (let at = list + HEADER; at < end; at += RECORD) {
    if (load<u32>(at) != kind || load<u64>(at, 8) != low || load<u64>(at, 16) != high) continue;
    store<i64>(at, max(load<i64>(at, 24), until), 24);
    return;
  }
  if (countOf(list) == MAX_PURGES) {
    mergeOldest(list);
    end = list + <usize>sizeOf(list);
  }
  store<u64>(end, kind);
  store<u64>(end, low, 8);
  store<u64>(end, high, 16);
  store<i64>(end, until, 24);
  store<u32>(list, countOf(list) + 1, 4);
}

/** The record with the earliest time means everything until then, instead. */
function mergeOldest(list: usize): void {
  let oldest = list + HEADER;
  const end = list + <usize>sizeOf(list);
  for (let at = oldest; at < end; at += RECORD) if (load<i64>(at, 24) < load<i64>(oldest, 24)) oldest = at;
  store<i64>(list, max(load<i64>(list, 8), load<i64>(oldest, 24)), 8);
  memory.copy(oldest, end - RECORD, RECORD);
  store<u32>(list, countOf(list) - 1, 4);
}

/** Drops records that say no more than "all before", or are older than any answer. */
function tidy(list: usize, now: i64): void {
  const needed = max(load<i64>(list, 8), now - LONGEST_LIFE - 1);
  const end = list + <usize>sizeOf(list);
  let kept = list + HEADER;
  for (let at = kept; at < end; at += RECORD) {
    if (load<i64>(at, 24) <= needed) continue;
    memory.copy(kept, at, RECORD);
    kept += RECORD;
  }
  store<i32>(list, <i32>((kept - list - HEADER) / RECORD), 4);
}
