/**
 * Replaces pieces of the buffered request body, wherever they stand, in constant memory and one pass.
 *
 * Envoy lets a filter replace a prefix of the buffer or append to it, nothing in the middle. Near the front the prefix is written
 * anew: one hostcall. Further back the buffer is turned around once, window by window: taken from the front, appended behind.
 * Copying the whole body into the VM would be simpler and would hold a 10 MiB body there for ever, because Wasm memory never shrinks.
 */
import { buffer, BufferType, Bytes, ByteWriter, scratch, Status } from "../sdk";
import { WINDOW } from "./body-scan";

/** Most pieces of one body. */
const MOST: i32 = 4;

const piece = new ByteWriter();
const view = new Bytes();
const nothing = new Bytes();

/** Pieces of one body that are to be replaced, in their order. All offsets are those of the body as it is held. */
@final
export class BodyEdits {
  count: i32 = 0;

  private readonly starts: StaticArray<i32> = new StaticArray<i32>(MOST);
  private readonly ends: StaticArray<i32> = new StaticArray<i32>(MOST);
  /** Where the text of each stands in `texts`. */
  private readonly textStarts: StaticArray<i32> = new StaticArray<i32>(MOST);
  private readonly textEnds: StaticArray<i32> = new StaticArray<i32>(MOST);
  private readonly texts: ByteWriter = new ByteWriter();

  /** For another body. */
  begin(): void {
    this.count = 0;
    this.texts.reset();
  }

  /**
   * Puts a copy of `text` in place of [start, end) when `apply` is called. Of two that are put in at the same place the later one stands behind.
   * False when it overlaps another, or there are too many: then it is not done.
   */
  add(start: i32, end: i32, text: Bytes): bool {
    if (this.count == MOST) return false;
    let at = this.count;
    while (at > 0 && this.isBehind(at - 1, start, end)) at--;
    if (at > 0 && unchecked(this.ends[at - 1]) > start) return false;
    if (at < this.count && unchecked(this.starts[at]) < end) return false;
    for (let i = this.count; i > at; i--) this.move(i - 1, i);
    unchecked((this.starts[at] = start));
    unchecked((this.ends[at] = end));
    unchecked((this.textStarts[at] = this.texts.len));
    this.texts.bytes(text);
    unchecked((this.textEnds[at] = this.texts.len));
    this.count++;
    return true;
  }

  /** Where `offset` is in the changed body. What was put in at that very place is behind it. */
  after(offset: i32): i32 {
    let moved = offset;
    for (let i = 0; i < this.count && unchecked(this.starts[i]) < offset; i++) moved += this.growth(i);
    return moved;
  }

  /** Changes the body of `size` bytes. `head` is its beginning as far as it is still borrowed. False when the host refused: what it holds then must not be sent. */
  apply(size: i32, head: Bytes): bool {
    if (this.count == 0) return true;
    return unchecked(this.ends[this.count - 1]) <= WINDOW ? this.rewritePrefix(head) : this.rotate(size);
  }

  private rewritePrefix(head: Bytes): bool {
    const last = this.count - 1;
    const start = unchecked(this.starts[last]);
    if (head.len < start) {
      if (buffer.get(BufferType.HttpRequestBody, 0, start, view) != Status.Ok || view.len != start) return false;
      head = view;
    }
    piece.reset();
    let done = 0;
    for (let i = 0; i <= last; i++) {
      piece.raw(head.ptr + <usize>done, unchecked(this.starts[i]) - done);
      this.write(i);
      done = unchecked(this.ends[i]);
    }
    return buffer.replacePrefix(BufferType.HttpRequestBody, done, piece.view()) == Status.Ok;
  }

  private rotate(size: i32): bool {
    const mark = scratch.mark();
    let next = 0;
    /** Offset of the first byte that is neither copied nor replaced. */
    let done = 0;
    for (let at = 0; at < size; at += WINDOW) {
      const length = min(WINDOW, size - at);
      const limit = at + length;
      scratch.rewind(mark);
      if (buffer.get(BufferType.HttpRequestBody, 0, length, view) != Status.Ok || view.len != length) return false;
      piece.reset();
      for (; next < this.count && unchecked(this.starts[next]) < limit; next++) {
        const start = unchecked(this.starts[next]);
        piece.raw(view.ptr + <usize>(done - at), start - done);
        this.write(next);
        done = unchecked(this.ends[next]);
      }
      if (done < limit) {
        piece.raw(view.ptr + <usize>(done - at), limit - done);
        done = limit;
      }
      if (buffer.replacePrefix(BufferType.HttpRequestBody, length, nothing) != Status.Ok) return false;
      if (buffer.append(BufferType.HttpRequestBody, piece.view()) != Status.Ok) return false;
    }
    return true;
  }

  /** What is put in stands in front of what is replaced at the same place. */
  private isBehind(index: i32, start: i32, end: i32): bool {
    const other = unchecked(this.starts[index]);
    return other > start || (other == start && start == end && unchecked(this.ends[index]) > end);
  }

  private write(index: i32): void {
    const texts = this.texts.view();
    const start = unchecked(this.textStarts[index]);
    piece.raw(texts.ptr + <usize>start, unchecked(this.textEnds[index]) - start);
  }

  private growth(index: i32): i32 {
    return unchecked(this.textEnds[index]) - unchecked(this.textStarts[index]) - (unchecked(this.ends[index]) - unchecked(this.starts[index]));
  }

  private move(from: i32, to: i32): void {
    unchecked((this.starts[to] = this.starts[from]));
    unchecked((this.ends[to] = this.ends[from]));
    unchecked((this.textStarts[to] = this.textStarts[from]));
    unchecked((this.textEnds[to] = this.textEnds[from]));
  }
}

/** One for all streams: a body is changed within one callback. */
export const edits = new BodyEdits();

/**
 * Puts `text` in place of [start, end) of a body of `size` bytes, or of the piece of one that a callback shows. False when the host refused; the body
 * may then be changed in part and must not be sent.
 */
export function replaceInBody(size: i32, start: i32, end: i32, text: Bytes): bool {
  edits.begin();
  return edits.add(start, end, text) && edits.apply(size, nothing);
}
