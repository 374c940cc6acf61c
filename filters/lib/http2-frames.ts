/**
 * Finds the HTTP/2 stream (RFC 9113, section 4.1) that a known text ends, in what is written to a connection.
 *
 *   | length: 24 bits | type: 8 | flags: 8 | 0: 1 bit | stream: 31 bits | payload: length bytes |
 *
 * The text is found at the end of a DATA frame, or as the whole payload of several that follow each other. Everything is compared, so that no other stream is taken
 * for this one, and what is not understood to the last byte is not used: writes that are not whole frames, padding, frames of unknown types, a text that two streams
 * have.
 */

export const FRAME_HEADER: i32 = 9;

const enum FrameType {
  Data = 0,
  Headers = 1,
  PushPromise = 5,
  Continuation = 9,
}

const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

export const enum TextPlace {
  /** Not, or not all of it, so far. */
  Open = 0,
  /** A frame for `stream` can be put behind this write, and its text is complete. */
  Found = 1,
  /** It will not be found. */
  Lost = 2,
}

@final
export class Http2Text {
  /** The stream that has the text, or begins to. 0: none yet. */
  stream: u32 = 0;
  private text: usize = 0;
  private size: i32 = 0;
  /** Bytes of the text that have been written. */
  private matched: i32 = 0;

  /** Looks for `size` > 0 bytes at `text`, which stay there until it is found. */
  begin(text: usize, size: i32): void {
    this.text = text;
    this.size = size;
    this.stream = 0;
    this.matched = 0;
  }

  /** Looks through one write. O(length). */
  read(ptr: usize, length: i32): TextPlace {
    let at = 0;
    let headersEnd = true;
    while (at < length) {
      if (length - at < FRAME_HEADER) return TextPlace.Lost;
      const head = ptr + at;
      const payload = (<i32>load<u8>(head) << 16) | (<i32>load<u8>(head, 1) << 8) | <i32>load<u8>(head, 2);
      const type = load<u8>(head, 3);
      const flags = load<u8>(head, 4);
      const stream = bswap(load<u32>(head, 5));
      if (<i32>type > FrameType.Continuation || <i32>stream < 0 || payload > length - at - FRAME_HEADER) return TextPlace.Lost;
      // Between the pieces of a header block there is no other frame.
      if (headersEnd == (type == FrameType.Continuation)) return TextPlace.Lost;
      if (type == FrameType.Headers || type == FrameType.PushPromise || type == FrameType.Continuation) headersEnd = (flags & END_HEADERS) != 0;
      if (type == FrameType.Data) {
        if ((stream & 1) == 0 || !this.readData(head + FRAME_HEADER, payload, flags, stream)) return TextPlace.Lost;
      } else if (this.stream != 0 && stream == this.stream) return TextPlace.Lost;
      at += FRAME_HEADER + payload;
    }
    if (!headersEnd) return TextPlace.Lost;
    return this.matched == this.size ? TextPlace.Found : TextPlace.Open;
  }

  /** False when the text can no longer be found. */
  private readData(payload: usize, length: i32, flags: u8, stream: u32): bool {
    if ((flags & ~END_STREAM) != 0) return false;
    const rest = this.size - this.matched;
    if (stream == this.stream) {
      // Behind the text there is nothing.
      if (flags != 0 || length == 0 || length > rest || memory.compare(payload, this.text + this.matched, length) != 0) return false;
      this.matched += length;
      return true;
    }
    // A stream that ends by itself is not the one, whatever it says.
    if (flags != 0 || length == 0) return true;
    const size = this.size;
    if (length >= size) {
      if (memory.compare(payload + length - size, this.text, size) != 0) return true;
      if (this.stream != 0) return false;
      this.matched = size;
    } else {
      if (memory.compare(payload, this.text, length) != 0) return true;
      if (this.stream != 0) return false;
      this.matched = length;
    }
    this.stream = stream;
    return true;
  }
}
