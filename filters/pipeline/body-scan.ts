/**
 * Finds `model` in the buffered request body.
 *
 * Up to one window the whole body is scanned. A larger one takes a shorter way with the same result on every valid document:
 *
 *   1. The first 4 KiB are scanned. Clients that put `model` first are done here, but for the proof that it does not come twice.
 *   2. Every byte is probed for places where a key `model` could stand (lib/model-probe). Only the one that is known: done.
 *   3. Only one, near the end (clients that put `messages` first): what follows it is scanned as the rest of an object. If that is
 *      complete at the last byte, the place is a key of the top level; anywhere deeper, brackets would be left over.
 *   4. Everything else, such as no place at all or a tool schema that talks about models, is scanned in full.
 *
 * With a single place in the whole body, no parser can see another model than the one read here, valid document or not. What the shorter way
 * does not notice is bad grammar in the middle of a body over one window: the upstream refuses that.
 *
 * Where the last of several `model` keys may win, step 3 comes first and alone: a key of the top level that no other follows is the last one,
 * whatever stands in the middle, so the middle is not read at all.
 */
import { JsonField, JsonScanner, ScanStatus } from "../lib/json-scanner";
import { CANDIDATE_REACH, nextModelCandidate } from "../lib/model-probe";
import { buffer, BufferType, Bytes, scratch, Status } from "../sdk";

/** Bytes looked at at a time; two windows fit the scratch arena. */
export const WINDOW: i32 = 64 * 1024;

/** What is scanned of a body over one window before it is probed: enough for clients that put `model` first. */
const HEAD: i32 = 4 * 1024;

/** What is looked at of a large body's end when the last `model` wins. */
const END: i32 = 4 * 1024;

const KEY = Bytes.literal("model");
const OPEN = Bytes.literal("{");

/** One scanner for all streams: a body is scanned from its first to its last byte within one callback. */
const scanner = new JsonScanner();

/** What the scan found; `start` and `end` are offsets of the raw value in the body. */
export const model: JsonField = scanner.want(KEY.ptr, KEY.len);

/** The window read last: the whole body, if that is not larger than `WINDOW`. Borrowed. */
export const window = new Bytes();

/** Offset of `window` in the body. */
let windowAt: i32 = 0;

export const enum BodyStatus {
  /** One JSON object, as far as it was looked at; `model` says the rest. */
  Object = 0,
  /** Not a JSON object, or nested too deeply. */
  Malformed = 1,
  /** `model` comes twice. */
  Ambiguous = 2,
}

/** Offset where a member can be put in front of the others. */
export function firstMember(): i32 {
  return <i32>scanner.firstMember;
}

/** The object has no members. */
export function isEmpty(): bool {
  return scanner.empty;
}

/**
 * Reads `size` buffered bytes into `model`. O(size), constant memory. With `lastWins` the last of several `model` keys counts,
 * as it does for nearly every JSON parser; else they are `Ambiguous`.
 */
export function scanBody(size: i32, lastWins: bool): BodyStatus {
  const status = scan(size, lastWins);
  // That it is named twice says more than that something else is wrong as well.
  return model.count > 1 && !lastWins ? BodyStatus.Ambiguous : status;
}

function scan(size: i32, lastWins: bool): BodyStatus {
  const mark = scratch.mark();
  if (lastWins && size > WINDOW && scanEnd(size, mark)) return BodyStatus.Object;
  scanner.reset();
  if (!read(0, min(WINDOW, size), mark)) return BodyStatus.Malformed;
  const status = scanBytes(window.ptr, size <= WINDOW ? size : HEAD);
  if (size <= WINDOW) return verdict(status);
  if (status == ScanStatus.Invalid || status == ScanStatus.Limit) return verdict(status);
  // A document that is complete already may be followed by white space only, which the full scan knows.
  return status == ScanStatus.Complete ? scanAll(size, mark) : probe(size, mark);
}

/** Fills `window` with `length` bytes from `at`, in place of the window before. */
function read(at: i32, length: i32, mark: usize): bool {
  scratch.rewind(mark);
  windowAt = at;
  return buffer.get(BufferType.HttpRequestBody, at, length, window) == Status.Ok && window.len == length;
}

/** Scans `length` bytes from `from`, which continue the document; goes on behind every `model`. */
function scanBytes(from: usize, length: i32): ScanStatus {
  const before = scanner.consumed;
  let status = scanner.feed(from, length);
  while (status == ScanStatus.Found) {
    scanner.resume();
    const done = <i32>(scanner.consumed - before);
    status = scanner.feed(from + <usize>done, length - done);
  }
  return status;
}

function verdict(status: ScanStatus): BodyStatus {
  return status == ScanStatus.Complete ? BodyStatus.Object : BodyStatus.Malformed;
}

/** Step 3 without the others: true when the end of the body shows the last `model` key. */
function scanEnd(size: i32, mark: usize): bool {
  const start = size - END;
  if (!read(start, END, mark)) return false;
  const last = window.ptr + <usize>(END - CANDIDATE_REACH + 1);
  let place = -1;
  for (let hit = nextModelCandidate(window.ptr, last); hit < last; hit = nextModelCandidate(hit + 1, last)) {
    place = start + <i32>(hit - window.ptr);
  }
  return place >= 0 && scanRest(size, place, mark);
}

/** Steps 2 to 4; the first window is still in `window`. */
function probe(size: i32, mark: usize): BodyStatus {
  let places = 0;
  let place = 0;
  let ending: u8 = 0;
  for (let at = 0; at < size; at += WINDOW - CANDIDATE_REACH) {
    const length = min(WINDOW, size - at);
    if (at > 0 && !read(at, length, mark)) return BodyStatus.Malformed;
    // The last window is looked through to its end; of the others the next one repeats the last bytes.
    const last = window.ptr + <usize>max(0, length - CANDIDATE_REACH + (at + length == size ? 1 : 0));
    for (let hit = nextModelCandidate(window.ptr, last); hit < last; hit = nextModelCandidate(hit + 1, last)) {
      places++;
      place = at + <i32>(hit - window.ptr);
    }
    const tail = lastByte();
    if (tail != 0) ending = tail;
    if (at + length == size) break;
  }
  if (ending != 0x7d) return BodyStatus.Malformed;
  if (places == 1) {
    if (model.count == 1 && place < <i32>model.start) return BodyStatus.Object;
    if (model.count == 0 && size - place <= WINDOW && scanRest(size, place, mark)) return BodyStatus.Object;
  }
  return scanAll(size, mark);
}

/** Last byte of `window` that is no white space, or 0. */
function lastByte(): u8 {
  for (let i = window.len - 1; i >= 0; i--) {
    const byte = window.at(i);
    if (byte != 0x20 && byte != 0x0a && byte != 0x0d && byte != 0x09) return byte;
  }
  return 0;
}

/** Step 3. On success `model` has offsets of the body; else nothing is decided. */
function scanRest(size: i32, place: i32, mark: usize): bool {
  // `window` ends where the body does; only a place before it must be read again.
  if (place < windowAt && !read(place, size - place, mark)) return false;
  const skipped = place - windowAt;
  scanner.reset();
  scanner.feed(OPEN.ptr, OPEN.len);
  const status = scanBytes(window.ptr + <usize>skipped, window.len - skipped);
  if (status != ScanStatus.Complete || model.count != 1) return false;
  const shift = <u32>(place - OPEN.len);
  model.start += shift;
  model.end += shift;
  return true;
}

/** Step 4. */
function scanAll(size: i32, mark: usize): BodyStatus {
  scanner.reset();
  let status: ScanStatus = ScanStatus.NeedMore;
  for (let at = 0; at < size; at += WINDOW) {
    if (!read(at, min(WINDOW, size - at), mark)) return BodyStatus.Malformed;
    status = scanBytes(window.ptr, window.len);
    if (status == ScanStatus.Invalid || status == ScanStatus.Limit) break;
  }
  return verdict(status);
}
