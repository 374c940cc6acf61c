/**
 * A body buffer with the operations Envoy's filters use: append, prepend, drain from the front. Appending is amortised
 * linear, because a 10 MiB body arrives in 16 KiB pieces.
 */
import { Status } from "./abi.ts";

export class ByteBuffer {
  #bytes: Uint8Array;
  #start = 0;
  #end: number;

  constructor(bytes: Uint8Array = new Uint8Array()) {
    this.#bytes = bytes;
    this.#end = bytes.length;
  }

  get length(): number {
    return this.#end - this.#start;
  }

  /** A view of the content, valid until the next change. */
  view(start = 0, length: number = this.length): Uint8Array {
    const from = this.#start + Math.min(start, this.length);
    return this.#bytes.subarray(from, Math.min(from + length, this.#end));
  }

  bytes(): Uint8Array {
    return this.view().slice();
  }

  append(more: Uint8Array): void {
    if (this.#end + more.length > this.#bytes.length || this.#start > 0) {
      const grown = new Uint8Array(Math.max(256, (this.length + more.length) * 2));
      grown.set(this.view());
      [this.#bytes, this.#end, this.#start] = [grown, this.length, 0];
    }
    this.#bytes.set(more, this.#end);
    this.#end += more.length;
  }

  prepend(more: Uint8Array): void {
    const rest = this.bytes();
    this.clear();
    this.append(more);
    this.append(rest);
  }

  drain(count: number): void {
    this.#start += Math.min(count, this.length);
  }

  clear(): void {
    [this.#bytes, this.#start, this.#end] = [new Uint8Array(), 0, 0];
  }

  /** Moves everything out of `other` to the end of this buffer. */
  moveFrom(other: ByteBuffer): void {
    this.append(other.view());
    other.clear();
  }
}

/**
 * proxy_set_buffer_bytes on a body. Envoy's buffers are not random access: replace a prefix of `length` bytes (0 =
 * prepend), or append when `start` is at or behind the end. A change in the middle is BAD_ARGUMENT.
 */
export function setBufferBytes(buffer: ByteBuffer, start: number, length: number, data: Uint8Array): Status {
  if (start === 0) {
    buffer.drain(length);
    buffer.prepend(data);
    return Status.Ok;
  }
  if (start < buffer.length) return Status.BadArgument;
  buffer.append(data);
  return Status.Ok;
}
