/**
 * Writes the answer anew while it passes: the chunk that a callback shows, window by window.
 *
 * A chunk of one window is replaced as a whole, one hostcall. A larger one is turned around once, as in body-edit.ts, from the first window on that
 * differs: Envoy edits a buffer only at its ends. A chunk that stays as it is costs nothing.
 */
import { buffer, BufferType, Bytes, scratch, Status } from "../sdk";
import { WINDOW } from "./body-scan";

const view = new Bytes();
const nothing = new Bytes();

@final
export class AnswerEdit {
  /** What is not read yet stands in front, what was read behind it. */
  private turned: bool = false;

  /** For the next chunk. */
  begin(): void {
    this.turned = false;
  }

  /** Where the window at `at` of the chunk stands now. */
  place(at: i32): i32 {
    return this.turned ? 0 : at;
  }

  /** The window [at, at + length) of `size` bytes passes as it is; `window` is it. */
  keep(length: i32, window: Bytes): bool {
    return !this.turned || this.turn(length, window);
  }

  /** In its place passes `text`. False when the host refused. */
  replace(at: i32, length: i32, size: i32, text: Bytes): bool {
    if (size <= WINDOW) return buffer.replace(BufferType.HttpResponseBody, text) == Status.Ok;
    if (!this.turned) {
      this.turned = true;
      const mark = scratch.mark();
      for (let done = 0; done < at; done += WINDOW) {
        if (buffer.get(BufferType.HttpResponseBody, 0, WINDOW, view) != Status.Ok || !this.turn(WINDOW, view)) return false;
        scratch.rewind(mark);
      }
    }
    return this.turn(length, text);
  }

  /** Takes `length` bytes from the front and appends `text`. */
  private turn(length: i32, text: Bytes): bool {
    return (
      buffer.replacePrefix(BufferType.HttpResponseBody, length, nothing) == Status.Ok && buffer.append(BufferType.HttpResponseBody, text) == Status.Ok
    );
  }
}

/** One for all streams: a chunk is changed within one callback. */
export const answerEdit = new AnswerEdit();
