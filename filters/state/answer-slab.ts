/**
 * Answers that all workers of one Envoy can serve, in a bounded part of its shared data.
 *
 * Shared data has no deletion, so the keys are fixed (answer-storage.ts), and the key of a request says which set its answer is in. A set has WAYS answers of any size, together at most its share of
 * the memory; CLOCK says who goes when there is no room. A miss is one get, of a set; a hit is another, of the answer, unless this worker has a copy of it (answer-copies.ts).
 *
 * A set and its answers are written one after the other, and other workers write between. So an answer is believed only when it has the whole key in front, and the stamp that the set has for
 * it: everything else is a miss. Who has written an answer looks whether the way still is its own, and else empties it, so the memory stays bounded whatever comes between.
 *
 * Requests served, of 8 MiB with answers of up to 128 KiB, against an ideal LRU of the same bytes; sizes log-normal, keys zipf, 60,000 requests (test/state/answer-hits.ts):
 *
 *   mean answer        2 KB             8 KB             20 KB
 *   zipf               0.8     1.0      0.8     1.0      0.8     1.0
 *   this               49.1 %  73.6 %   49.3 %  70.6 %   47.8 %  67.6 %
 *   ideal LRU          49.9 %  74.1 %   48.4 %  70.3 %   47.6 %  68.3 %
 *   memory in use      98 %    98 %     92 %    92 %     86 %    83 %
 *
 * Size classes were the other way to do it; they waste what the mix of sizes does not ask for. Sets with fewer ways do not fill: with 16 of them and answers of 2 KB, an eighth of the memory is used, and
 * a fifth of the hits is lost.
 */
import { Bytes, scratch, Status } from "../sdk";
import { AnswerDraft, LONGEST_LIFE, META_BYTES, StoredAnswer } from "./answer-entry";
import { AnswerSet, SET_BYTES, SKEW, WAYS } from "./answer-set";
import { ANSWER_HEADER, AnswerStorage, KEY_BYTES, MOST_SETS } from "./answer-storage";
import { PurgeList } from "./purge-list";

/** Lost races before a write is given up. */
const TRIES: i32 = 8;

export const enum Found {
  Missing,
  Fresh,
  /** Not fresh any more, but it may be served by who allows that. */
  Stale,
}

export const enum Kept {
  Stored,
  /** There is one of a later request. */
  Newer,
  /** Purged, or over. */
  Dead,
  TooLarge,
  /** Too many races lost, or somebody else took the way meanwhile. */
  Lost,
  /** The host refused. */
  Unavailable,
}

@final
export class AnswerSlab {
  /** Live answers that were dropped for others. */
  evictions: u32 = 0;
  /** Answers that were given up because of others that were stored at the same time. */
  contention: u32 = 0;
  /** Answers that were not those of their set: written in between. */
  torn: u32 = 0;
  /** Answers that were found, and dead. */
  purged: u32 = 0;
  /** Calls that the host refused. */
  unavailable: u32 = 0;
  /** Largest entry that is stored. */
  readonly maxEntryBytes: i32;
  /** The most bytes of shared data that keys and values take, with what they cost the host. */
  readonly bytes: i64;

  private readonly sets: i32;
  private readonly storage: AnswerStorage;
  private readonly set: AnswerSet;
  private readonly blank: StaticArray<u8> = new StaticArray<u8>(SET_BYTES);
  private readonly entry: Bytes = new Bytes();
  private readonly before: StoredAnswer = new StoredAnswer();
  /** Mean bytes of the sets that were seen last, in 1/65536. */
  private meanUsed: i64 = 0;
  private seen: i64 = 0;

  /** `maxBytes` of shared data in all; `maxEntryBytes` of one answer with its meta, at most 1/64 of that. No hostcalls. */
  constructor(
    maxBytes: i64,
    maxEntryBytes: i32,
    private readonly purges: PurgeList,
  ) {
    const overhead = SET_BYTES + KEY_BYTES * (WAYS + 1);
    const share = <i64>maxEntryBytes + ANSWER_HEADER + overhead;
    const sets = <i32>max<i64>(1, min<i64>(maxBytes / share, MOST_SETS));
    const budget = maxBytes / sets - SET_BYTES - KEY_BYTES;
    const room = budget - KEY_BYTES * WAYS - ANSWER_HEADER;
    this.maxEntryBytes = <i32>max<i64>(0, min<i64>(maxEntryBytes, room));
    this.sets = sets;
    this.bytes = maxBytes;
    this.storage = new AnswerStorage(sets);
    this.set = new AnswerSet(budget, KEY_BYTES);
  }

  /** Estimate of the bytes in use, by the sets that this worker has seen. */
  get used(): i64 {
    return (this.meanUsed * <i64>this.sets) >> 16;
  }

  /**
   * Looks for the answer to a key. Its views are borrowed until the outermost callback returns; after Missing they hold nothing. What is purged, over, or from a time to come is Missing. A get for a
   * miss and for a hit of which there is a copy, two for any other hit, and rarely one for purges, and a set when it is the first hit since the hand passed. O(WAYS).
   */
  find(low: u64, high: u64, now: i64, into: StoredAnswer): Found {
    const mark = scratch.mark();
    const found = this.seek(low, high, now, into);
    if (found == Found.Missing) {
      into.clear();
      scratch.rewind(mark);
    }
    return found;
  }

  /**
   * Stores the answer under a key, in place of one of an earlier request. `staleUntil`: until when it may be served once it has expired, ms since 1970. Two gets and two sets, and a set for
   * each answer that goes.
   */
  store(low: u64, high: u64, draft: AnswerDraft, staleUntil: i64, now: i64): Kept {
    const meta = draft.meta;
    const entry = draft.entry;
    if (entry.len < META_BYTES || entry.len > this.maxEntryBytes) return Kept.TooLarge;
    const until = min(max(staleUntil, meta.expiresAt), meta.storedAt + LONGEST_LIFE);
    this.purges.refresh(now);
    if (until <= now || isAhead(meta.storedAt, now) || this.purges.isDead(low, high, meta)) return Kept.Dead;
    const mark = scratch.mark();
    const kept = this.write(low, high, draft, until, now);
    scratch.rewind(mark);
    if (kept == Kept.Lost) this.contention++;
    return kept;
  }

  /** Drops the answer to a key. A get and two sets. False when there is none, or it could not be dropped. */
  remove(low: u64): bool {
    const mark = scratch.mark();
    let status = Status.CasMismatch;
    for (let round = 0; round < TRIES && status == Status.CasMismatch; round++) {
      scratch.rewind(mark);
      status = this.load(low);
      if (status != Status.Ok) break;
      const way = this.set.find(low);
      if (way < 0) {
        status = Status.NotFound;
        break;
      }
      this.set.free(way);
      status = this.storage.save(this.set.at);
      if (status == Status.Ok) this.storage.empty(way);
    }
    scratch.rewind(mark);
    return status == Status.Ok;
  }

  private seek(low: u64, high: u64, now: i64, into: StoredAnswer): Found {
    const status = this.load(low);
    if (status != Status.Ok) return Found.Missing;
    const set = this.set;
    const way = set.find(low);
    if (way < 0 || !set.isLive(way, seconds(now))) return Found.Missing;
    const entry = this.entry;
    if (!this.storage.read(way, set.stamp(way), set.bytes(way), low, high, entry) || !into.read(entry)) {
      this.torn++;
      return Found.Missing;
    }
    const staleUntil = this.storage.staleUntil;
    const meta = into.meta;
    if (now >= max(staleUntil, meta.expiresAt) || now >= meta.storedAt + LONGEST_LIFE || isAhead(meta.storedAt, now)) {
      return Found.Missing;
    }
    into.staleUntil = staleUntil;
    this.purges.refresh(now);
    if (!this.purges.isKnown || this.purges.isDead(low, high, meta)) {
      this.purged++;
      return Found.Missing;
    }
    if (!set.isReferenced(way)) {
      set.reference(way, true);
      // A lost race loses a reference.
      this.storage.save(set.at);
    }
    return now < meta.expiresAt ? Found.Fresh : Found.Stale;
  }

  private write(low: u64, high: u64, draft: AnswerDraft, until: i64, now: i64): Kept {
    const set = this.set;
    const born = seconds(draft.meta.storedAt);
    const bytes = <u32>(ANSWER_HEADER + draft.entry.len);
    const mark = scratch.mark();
    for (let round = 0; round < TRIES; round++) {
      scratch.rewind(mark);
      const loaded = this.load(low);
      if (loaded == Status.NotFound) set.blank(changetype<usize>(this.blank));
      else if (loaded != Status.Ok) return Kept.Unavailable;
      const own = set.find(low);
      if (own >= 0 && set.isLive(own, seconds(now)) && set.born(own) > born) return Kept.Newer;
      const stamp = this.storage.version;
      const way = set.makeRoom(own, bytes, seconds(now), seconds(this.purges.allBefore));
      set.put(way, low, stamp, bytes, seconds(until + 999), born);
      const status = this.storage.save(set.at);
      if (status == Status.CasMismatch) continue;
      if (status != Status.Ok) return this.refused();
      this.evictions += set.evictedLive;
      for (let other = set.nextEmptied(); other >= 0; other = set.nextEmptied()) this.storage.empty(other);
      if (this.storage.write(way, stamp, low, high, until, draft) != Status.Ok) return this.refused();
      scratch.rewind(mark);
      return this.confirm(low, way, stamp);
    }
    return Kept.Lost;
  }

  /** Whoever takes the way from here on overwrites what is in it. Who took it before may have been overwritten, so it is to hold nothing. */
  private confirm(low: u64, way: i32, stamp: u32): Kept {
    if (this.load(low) == Status.Ok && this.set.bytes(way) != 0 && this.set.stamp(way) == stamp) return Kept.Stored;
    this.storage.empty(way);
    return Kept.Lost;
  }

  /** Puts the set of the key into `set`. `NotFound`: it is missing, or wrong bytes. */
  private load(low: u64): Status {
    const status = this.storage.load(low);
    if (status != Status.Ok && status != Status.NotFound) {
      this.unavailable++;
      return status;
    }
    const value = this.storage.value;
    const there = status == Status.Ok && this.set.open(value.ptr, value.len);
    this.observe(there ? <i64>this.set.used + SET_BYTES + KEY_BYTES : 0);
    return there ? Status.Ok : Status.NotFound;
  }

  private refused(): Kept {
    this.unavailable++;
    return Kept.Unavailable;
  }

  /** A mean that follows within some hundred sets. */
  private observe(used: i64): void {
    this.seen = min<i64>(this.seen + 1, 128);
    const bytes = min(used, this.bytes / this.sets);
    this.meanUsed += ((bytes << 16) - this.meanUsed) / this.seen;
  }
}

@inline
function seconds(now: i64): u32 {
  return <u32>(min(max(now, 0) / 1000, 0xffffffff));
}

/** The clock was set back since. */
@inline
function isAhead(storedAt: i64, now: i64): bool {
  return storedAt > now + <i64>SKEW * 1000;
}
