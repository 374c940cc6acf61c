/**
 * Keeps the values of the request headers that the configuration asks about, because they are read in one go at the headers and needed when the
 * body is complete. Asking Envoy again later would cost a hostcall each and show the first of repeated headers only.
 */
import { Bytes, ByteWriter } from "../sdk";

/** The names, collected while the configuration is read. */
@final
export class WantedHeaders {
  readonly names: Bytes[] = [];

  /** Index of the header in every `CapturedHeaders` of this configuration. */
  want(name: Bytes): i32 {
    for (let i = 0; i < this.names.length; i++) if (this.names[i].equals(name)) return i;
    this.names.push(name);
    return this.names.length - 1;
  }
}

/** The values of one request. */
@final
export class CapturedHeaders {
  private readonly text: ByteWriter = new ByteWriter();
  /** -1 while the header was not seen. */
  private readonly start: StaticArray<i32>;
  private readonly size: StaticArray<i32>;

  constructor(private readonly wanted: WantedHeaders) {
    this.start = new StaticArray<i32>(wanted.names.length);
    this.size = new StaticArray<i32>(wanted.names.length);
  }

  release(): void {
    this.text.release();
  }

  reset(): void {
    this.text.reset();
    for (let i = 0; i < this.start.length; i++) unchecked((this.start[i] = -1));
  }

  /** Takes the header if it is wanted. Repeated ones are joined by a comma, as Envoy does. O(wanted names). */
  offer(name: Bytes, value: Bytes): void {
    const names = this.wanted.names;
    for (let i = 0; i < names.length; i++) {
      if (!name.equals(unchecked(names[i]))) continue;
      const text = this.text;
      const before = unchecked(this.start[i]);
      const at = text.len;
      if (before >= 0) {
        text.again(before, unchecked(this.size[i])).byte(0x2c);
      }
      text.bytes(value);
      unchecked((this.start[i] = at));
      unchecked((this.size[i] = text.len - at));
      return;
    }
  }

  has(index: i32): bool {
    return unchecked(this.start[index]) >= 0;
  }

  /** Shows the value in `into`, empty when there was none; valid until the next `offer`. */
  read(index: i32, into: Bytes): Bytes {
    if (this.has(index)) into.set(this.text.view().ptr + <usize>unchecked(this.start[index]), unchecked(this.size[index]));
    else into.clear();
    return into;
  }
}
