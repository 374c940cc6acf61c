/**
 * Messages in a gRPC stream: a byte that says whether the message is compressed, four that say how long it is, the message.
 * https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md
 */
import { CallError, Status } from "./status.ts";

export const PREFIX_BYTES = 5;

const NOTHING = Buffer.alloc(0);
const NO_PARTS: readonly Buffer[] = [];

/** Cuts a stream of chunks of any size into messages. */
export class MessageReader {
  readonly #maxBytes: number;
  /** Chunks of a message that is not there as a whole yet. */
  #parts = NO_PARTS;
  #held = 0;
  /** Bytes until the next message, or its prefix, is whole. */
  #needed = PREFIX_BYTES;

  /** @param maxBytes of one message */
  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  /** Bytes that wait for the rest of their message. */
  get held(): number {
    return this.#held;
  }

  /**
   * Takes a chunk and gives the messages that it completes; they share the chunk's memory where they can. O(bytes), however small the chunks are.
   * @throws CallError RESOURCE_EXHAUSTED, UNIMPLEMENTED
   */
  read(chunk: Buffer): Iterable<Buffer> {
    // One chunk that is one message: nearly always.
    if (this.#held === 0 && chunk.length >= PREFIX_BYTES && PREFIX_BYTES + this.#lengthOf(chunk) === chunk.length)
      return [chunk.subarray(PREFIX_BYTES)];
    return this.#read(chunk);
  }

  *#read(chunk: Buffer): Iterable<Buffer> {
    this.#held += chunk.length;
    if (this.#parts.length === 0) this.#parts = [chunk];
    // It is nobody else's: only the one that is empty is shared.
    else (this.#parts as Buffer[]).push(chunk);
    if (this.#held < this.#needed) return;
    let bytes = this.#parts.length === 1 ? chunk : Buffer.concat(this.#parts, this.#held);
    this.#parts = NO_PARTS;
    this.#held = 0;
    for (;;) {
      const length = bytes.length < PREFIX_BYTES ? 0 : this.#lengthOf(bytes);
      const end = PREFIX_BYTES + length;
      if (bytes.length < end) {
        this.#needed = end;
        break;
      }
      const message = bytes.subarray(PREFIX_BYTES, end);
      bytes = bytes.subarray(end);
      yield message;
    }
    if (bytes.length === 0) return;
    this.#parts = [bytes];
    this.#held = bytes.length;
  }

  #lengthOf(bytes: Buffer): number {
    if (bytes[0] !== 0) throw new CallError(Status.unimplemented, "messages may not be compressed");
    const length = bytes.readUInt32BE(1);
    if (length > this.#maxBytes) {
      throw new CallError(Status.resourceExhausted, `a message has at most ${this.#maxBytes} bytes`);
    }
    return length;
  }
}

/** The prefix of a message and its first bytes, in one buffer. @param more bytes of the message that are sent behind it */
export function prefixed(first: Uint8Array = NOTHING, more = 0): Buffer {
  const bytes = Buffer.allocUnsafe(PREFIX_BYTES + first.length);
  bytes[0] = 0;
  bytes.writeUInt32BE(first.length + more, 1);
  bytes.set(first, PREFIX_BYTES);
  return bytes;
}
