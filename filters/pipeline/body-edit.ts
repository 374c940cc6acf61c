/**
 * Replaces a piece of the buffered request body, wherever it stands, in constant memory.
 *
 * Envoy lets a filter replace a prefix of the buffer or append to it, nothing in the middle. Near the front the prefix is written
 * anew: one hostcall. Further back the buffer is turned around once, window by window: taken from the front, appended behind.
 * Copying the whole body into the VM would be simpler and would hold a 10 MiB body there for ever, because Wasm memory never shrinks.
 */
import { buffer, BufferType, Bytes, ByteWriter, scratch, Status } from "../sdk";
import { WINDOW } from "./body-scan";

const piece = new ByteWriter();
const view = new Bytes();
const nothing = new Bytes();

/**
 * Puts `text` in place of [start, end) of a body of `size` bytes. `head` is the beginning of the body as far as the caller
 * still borrows it, maybe nothing. False when the host refused; the body may then be changed in part and must not be sent.
 */
export function replaceInBody(size: i32, start: i32, end: i32, text: Bytes, head: Bytes): bool {
  return end <= WINDOW ? rewritePrefix(start, end, text, head) : rotate(size, start, end, text);
}

function rewritePrefix(start: i32, end: i32, text: Bytes, head: Bytes): bool {
  if (head.len < start) {
    if (buffer.get(BufferType.HttpRequestBody, 0, start, view) != Status.Ok || view.len != start) return false;
    head = view;
  }
  piece.reset().raw(head.ptr, start).bytes(text);
  return buffer.replacePrefix(BufferType.HttpRequestBody, end, piece.view()) == Status.Ok;
}

function rotate(size: i32, start: i32, end: i32, text: Bytes): bool {
  const mark = scratch.mark();
  for (let at = 0; at < size; at += WINDOW) {
    const length = min(WINDOW, size - at);
    scratch.rewind(mark);
    if (buffer.get(BufferType.HttpRequestBody, 0, length, view) != Status.Ok || view.len != length) return false;
    piece.reset();
    // Before the replaced piece, the piece itself, behind it: each may be empty in this window.
    const before = min(length, max(0, start - at));
    const behind = min(length, max(0, end - at));
    piece.raw(view.ptr, before);
    if (start >= at && start < at + length) piece.bytes(text);
    piece.raw(view.ptr + behind, length - behind);
    if (buffer.replacePrefix(BufferType.HttpRequestBody, length, nothing) != Status.Ok) return false;
    if (buffer.append(BufferType.HttpRequestBody, piece.view()) != Status.Ok) return false;
  }
  return true;
}
