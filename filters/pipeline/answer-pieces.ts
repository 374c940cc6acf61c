/** A piece of an answer, window by window: looked through for token usage, and passed on as answer-filter.ts says. */
import { buffer, BufferType, Bytes, scratch, Status, time } from "../sdk";
import { answerEdit } from "./answer-edit";
import { passWindow } from "./answer-filter";
import { WINDOW } from "./body-scan";
import { Exchange } from "./exchange";

const chunk = new Bytes();

/**
 * Reads the `size` bytes that a callback shows and counts them; `last`: the answer ends with them. A hostcall for each window, and what is done to it. False when
 * the filter of the answer gave up, as passWindow() has it.
 */
export function readPiece(exchange: Exchange, size: i32, last: bool): bool {
  const counted = exchange.usage.outputTotal;
  let filtered = true;
  answerEdit.begin();
  for (let at = 0; at < size; at += WINDOW) {
    const mark = scratch.mark();
    const length = min(WINDOW, size - at);
    if (buffer.get(BufferType.HttpResponseBody, answerEdit.place(at), length, chunk) != Status.Ok) break;
    if (at == 0 && exchange.firstByteAt == 0 && exchange.startedAt != 0) markFirstByte(exchange);
    exchange.usage.feed(chunk.ptr, chunk.len);
    if (!passWindow(exchange, chunk, at, length, size, last && at + length == size)) filtered = false;
    scratch.rewind(mark);
  }
  exchange.answerBytes += size;
  exchange.uncountedBytes = exchange.usage.outputTotal > max(counted, 0) ? 0 : exchange.uncountedBytes + size;
  if (!last || size > 0) return filtered;
  chunk.clear();
  return passWindow(exchange, chunk, 0, 0, 0, true) && filtered;
}

/** The first bytes of the answer are in `chunk`: a whole answer is an object, anything else a stream, whose first token came now. */
function markFirstByte(exchange: Exchange): void {
  const whole = !exchange.streaming && (chunk.len == 0 || chunk.at(0) == 0x7b);
  exchange.firstByteAt = whole ? u64.MAX_VALUE : time.now();
}
