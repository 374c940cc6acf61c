/**
 * Where the slab lies in shared data: a key for each set, and one for each way of it.
 *
 *   key "tm.pc.1" + 3 digits of (sets - 1) + "." + 3 digits of the set                          set (answer-set.ts)
 *   key of the set + "." + 2 digits of the way                                                  answer
 *   answer   |magic u32|stamp u32|low u64|high u64|stale until, ms i64| entry (answer-entry.ts)          32 bytes in front, little-endian
 *
 * Digits are printable characters of 6 bits. A slab with another number of sets lies under other keys. A key is there for good once it was written, so an answer that goes is overwritten with nothing.
 */
import { Bytes, sharedData, Status } from "../sdk";
import { AnswerCopies } from "./answer-copies";
import { AnswerDraft, DRAFT_ROOM } from "./answer-entry";
import { SET_BYTES } from "./answer-set";
import { keyDigit } from "./worker-slots";

/** Bytes in front of an entry. */
export const ANSWER_HEADER: i32 = DRAFT_ROOM;
/** What a key and its value cost the host besides the value: the key in a string of its own, a node of the table, and the rounding of the allocator. */
export const KEY_BYTES: i64 = 192;
/** Most sets that three digits tell apart. */
export const MOST_SETS: i32 = 1 << 18;

/** A version for keys that are missing, see set-storage.ts. */
const MISSING: u32 = 0xffffffff;
const MAGIC: u32 = 0x31446d74;
const SET_KEY: i32 = 14;
const ANSWER_KEY: i32 = 17;

/** One set at a time. What is read is borrowed until the scratch arena is rewound. */
@final
export class AnswerStorage {
  readonly value: Bytes = new Bytes();
  version: u32 = 0;
  private readonly text: Bytes = Bytes.literal("tm.pc.1___.___.__");
  private readonly key: Bytes = new Bytes();
  private readonly answer: Bytes = new Bytes();
  private readonly copies: AnswerCopies = new AnswerCopies();

  constructor(private readonly sets: i32) {
    writeDigits(this.text.ptr + 7, sets - 1);
  }

  /** Reads the set of the key into `value`. `NotFound`: nobody has written it yet. */
  load(low: u64): Status {
    writeDigits(this.text.ptr + 11, <i32>(((low & 0xffffffff) * <u64>this.sets) >> 32));
    this.key.set(this.text.ptr, SET_KEY);
    const status = sharedData.get(this.key, this.value);
    this.version = status == Status.Ok ? sharedData.cas() : MISSING;
    return status;
  }

  /** Writes the set at the address. `CasMismatch`: somebody else has written since. */
  save(at: usize): Status {
    this.key.set(this.text.ptr, SET_KEY);
    this.answer.set(at, SET_BYTES);
    return sharedData.set(this.key, this.answer, this.version);
  }

  /** Reads the answer in a way of the set that was loaded last; the entry goes into `into`, until the next `read`. False when it is another one, or none. One get, unless there is a copy. */
  read(way: i32, stamp: u32, bytes: u32, low: u64, high: u64, into: Bytes): bool {
    const answer = this.answer;
    const copy = this.copies.find(low, high, stamp, bytes);
    if (copy != 0) answer.set(copy, bytes);
    else {
      this.setWay(way);
      if (sharedData.get(this.key, answer) != Status.Ok) return false;
    }
    const at = answer.ptr;
    if (answer.len < ANSWER_HEADER || <u32>answer.len != bytes) return false;
    if (load<u32>(at) != MAGIC || load<u32>(at, 4) != stamp) return false;
    if (load<u64>(at, 8) != low || load<u64>(at, 16) != high) return false;
    if (copy == 0) this.copies.add(low, high, stamp, at, bytes);
    into.set(at + <usize>ANSWER_HEADER, answer.len - ANSWER_HEADER);
    return true;
  }

  /** Of the answer that was read last. */
  get staleUntil(): i64 {
    return load<i64>(this.answer.ptr, 24);
  }

  /** Writes an answer into a way of the set. */
  write(way: i32, stamp: u32, low: u64, high: u64, staleUntil: i64, draft: AnswerDraft): Status {
    this.setWay(way);
    const entry = draft.entry;
    const at = entry.ptr - <usize>ANSWER_HEADER;
    store<u32>(at, MAGIC);
    store<u32>(at, stamp, 4);
    store<u64>(at, low, 8);
    store<u64>(at, high, 16);
    store<i64>(at, staleUntil, 24);
    this.answer.set(at, ANSWER_HEADER + entry.len);
    return sharedData.set(this.key, this.answer, 0);
  }

  empty(way: i32): void {
    this.setWay(way);
    this.answer.clear();
    sharedData.set(this.key, this.answer, 0);
  }

  private setWay(way: i32): void {
    const digits = this.text.ptr + 15;
    store<u8>(digits, keyDigit(way >> 6));
    store<u8>(digits, keyDigit(way), 1);
    this.key.set(this.text.ptr, ANSWER_KEY);
  }
}

function writeDigits(at: usize, value: i32): void {
  store<u8>(at, keyDigit(value >> 12));
  store<u8>(at, keyDigit(value >> 6), 1);
  store<u8>(at, keyDigit(value), 2);
}
