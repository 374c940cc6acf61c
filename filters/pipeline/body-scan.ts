/**
 * Finds `model` in the buffered request body.
 *
 * Every byte of the body is read, window by window, checked to be UTF-8 and scanned: a body that is no single JSON object from its first to its last byte is
 * told from one that is, whatever its size.
 *
 * Where the last of several `model` keys may win, the end of a body over one window is looked at first: a key of the top level that no other follows is the
 * last one, whatever stands in the middle. If the end shows one, only the end has been read, and nothing is known of the rest but that it came before.
 */
import { JsonField, JsonScanner, ScanStatus } from "../lib/json-scanner";
import { CANDIDATE_REACH, nextModelCandidate } from "../lib/model-probe";
import { Utf8Check } from "../lib/utf8-check";
import { buffer, BufferType, Bytes, scratch, Status } from "../sdk";

/** Bytes looked at at a time; two windows fit the scratch arena. */
export const WINDOW: i32 = 64 * 1024;

/** A body of so many bytes is read at once where its text is looked at again after the scan: to fetch it twice costs as much as to scan it. */
export const WHOLE: i32 = 512 * 1024;

/** What is looked at of a large body's end when the last `model` wins. */
const END: i32 = 4 * 1024;

const KEY = Bytes.literal("model");
const OPEN = Bytes.literal("{");

/** One scanner for all streams: a body is scanned from its first to its last byte within one callback. */
const scanner = new JsonScanner();
const utf8 = new Utf8Check();

/** What the scan found; `start` and `end` are offsets of the raw value in the body. */
export const model: JsonField = scanner.want(KEY.ptr, KEY.len);

/** The window read last. Borrowed. */
export const window = new Bytes();

export const enum BodyStatus {
  /** One JSON object in UTF-8, as far as it was looked at; `model` says the rest. */
  Object = 0,
  /** Not a JSON object, or nested too deeply. */
  Malformed = 1,
  /** `model` comes twice. */
  Ambiguous = 2,
  /** Not UTF-8. */
  InvalidUtf8 = 3,
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
 * as it does for nearly every JSON parser; else they are `Ambiguous`. Reading ends with the window that shows what is wrong.
 */
export function scanBody(size: i32, lastWins: bool): BodyStatus {
  const mark = scratch.mark();
  if (lastWins && size > WINDOW && scanEnd(size, mark)) return BodyStatus.Object;
  const status = scanAll(size, mark);
  // That it is named twice says more than that something else is wrong as well.
  return model.count > 1 && !lastWins ? BodyStatus.Ambiguous : status;
}

/** Fills `window` from `at` on with at most `most` of `size` bytes, in place of the window before, which was read behind `mark`. False when the host has less. */
export function readWindow(at: i32, size: i32, mark: usize, most: i32 = WINDOW): bool {
  return read(at, min(most, size - at), mark);
}

/** Fills `window` with `length` bytes from `at`. */
function read(at: i32, length: i32, mark: usize): bool {
  scratch.rewind(mark);
  return buffer.get(BufferType.HttpRequestBody, at, length, window) == Status.Ok && window.len == length;
}

function scanAll(size: i32, mark: usize): BodyStatus {
  scanner.reset();
  utf8.reset();
  let status: ScanStatus = ScanStatus.NeedMore;
  for (let at = 0; at < size; at += WINDOW) {
    if (!readWindow(at, size, mark)) return BodyStatus.Malformed;
    const text = utf8.feed(window.ptr, window.len) && (at + WINDOW < size || utf8.complete);
    status = scanBytes(window.ptr, window.len);
    if (!text) return BodyStatus.InvalidUtf8;
    if (status == ScanStatus.Invalid || status == ScanStatus.Limit) return BodyStatus.Malformed;
  }
  return status == ScanStatus.Complete ? BodyStatus.Object : BodyStatus.Malformed;
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

/**
 * True when the end of the body shows the last `model` key. The last place where such a key could stand is scanned as the rest of an object: if that is complete at the
 * last byte, the place is a key of the top level, because anywhere deeper brackets would be left over.
 */
function scanEnd(size: i32, mark: usize): bool {
  const start = size - END;
  if (!read(start, END, mark)) return false;
  const end = window.ptr + <usize>END;
  const last = end - <usize>(CANDIDATE_REACH - 1);
  let place: usize = 0;
  for (let hit = nextModelCandidate(window.ptr, last); hit < last; hit = nextModelCandidate(hit + 1, last)) place = hit;
  if (place == 0) return false;
  scanner.reset();
  scanner.feed(OPEN.ptr, OPEN.len);
  const status = scanBytes(place, <i32>(end - place));
  if (status != ScanStatus.Complete || model.count != 1 || !isText(window.ptr, end)) return false;
  const shift = <u32>(start + <i32>(place - window.ptr) - OPEN.len);
  model.start += shift;
  model.end += shift;
  return true;
}

/** Whether [at, end) is UTF-8 but for a character that began before it. If not, the scan of all of it says what is wrong. */
function isText(at: usize, end: usize): bool {
  for (let i = 0; i < 3 && (load<u8>(at) & 0xc0) == 0x80; i++) at++;
  utf8.reset();
  return utf8.feed(at, <i32>(end - at)) && utf8.complete;
}
