/**
 * The data of the events of a stream that is all there, one after the other, as views into it.
 *
 * Unlike `SseScanner` it has no bound on an event and no buffer. So it does without events of several `data` lines, which no API sends. Event types are left out:
 * they stand in the data of each API that has any. An event whose blank line is missing at the end counts.
 */
import { lineEnd } from "../line-end";

/** `data`, little-endian. */
const DATA: u32 = 0x61746164;
/** `[DON`, and `E]` behind it. */
const DONE_HEAD: u32 = 0x4e4f445b;
const DONE_TAIL: u16 = 0x5d45;

@final
export class EventData {
  /** Data of the event: [from, to). */
  from: usize = 0;
  to: usize = 0;
  /** There was an event of several lines. */
  failed: bool = false;

  private at: usize = 0;
  private end: usize = 0;

  begin(from: usize, length: i32): void {
    this.at = length >= 4 && (load<u32>(from) & 0xffffff) == 0xbfbbef ? from + 3 : from;
    this.end = from + <usize>length;
    this.failed = false;
  }

  /** Goes on to the next event that has data. */
  next(): bool {
    let found = false;
    while (this.at < this.end) {
      const line = this.at;
      const to = lineEnd(line, this.end);
      this.at = to + 1;
      if (this.at < this.end && load<u16>(to) == 0x0a0d) this.at++;
      if (line == to) {
        if (found) return true;
      } else if (to - line >= 4 && load<u32>(line) == DATA && (to - line == 4 || load<u8>(line, 4) == 0x3a)) {
        if (found) {
          this.failed = true;
          return false;
        }
        found = true;
        this.from = min(line + 5, to);
        this.to = to;
        if (this.from < to && load<u8>(this.from) == 0x20) this.from++;
      }
    }
    return found;
  }

  /** The event is the `[DONE]` behind a stream. */
  get done(): bool {
    return this.to - this.from == 6 && load<u32>(this.from) == DONE_HEAD && load<u16>(this.from, 4) == DONE_TAIL;
  }
}
