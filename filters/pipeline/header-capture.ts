/**
 * Keeps the values of the request headers that the configuration asks about, because they are read in one go at the headers and needed when the
 * body is complete. Asking Envoy again later would cost a hostcall each and show the first of repeated headers only.
 *
 * Every header has a place of fixed size: Envoy takes headers of many kilobytes, of requests that are no LLM calls too, and thousands of streams at once.
 */
import { xxhash64 } from "../lib/xxhash64";
import { Bytes, hexDigit } from "../sdk";

/** Bytes kept of a value. No condition, host or content type is longer. */
const MAX_HEADER: i32 = 512;
/** The hash in hex that ends a value which was cut. */
const HASH: i32 = 16;

/** The names, collected while the configuration is read. */
@final
export class WantedHeaders {
  readonly names: Bytes[] = [];
  /** By name: which place its value has; -1 for one that is only asked whether it is there. */
  readonly places: i32[] = [];
  /** Places in all. */
  count: i32 = 0;
  /** Bit n: some name has n bytes, modulo 64. Most headers of a request need no comparison. */
  lengths: u64 = 0;

  /** Index of the header, whose value is kept, in every `CapturedHeaders` of this configuration. */
  want(name: Bytes): i32 {
    const index = this.wantPresence(name);
    if (this.places[index] < 0) this.places[index] = this.count++;
    return index;
  }

  /** Index of a header of which nothing but `has` is asked, so that it takes no memory in every stream. */
  wantPresence(name: Bytes): i32 {
    for (let i = 0; i < this.names.length; i++) if (this.names[i].equals(name)) return i;
    this.places.push(-1);
    this.lengths |= 1 << (<u64>name.len & 63);
    return this.names.push(name) - 1;
  }
}

/** The values of one request. */
@final
export class CapturedHeaders {
  private readonly text: StaticArray<u8>;
  /** -1 while the header was not seen. */
  private readonly size: StaticArray<i32>;
  /** 1 for what did not fit. */
  private readonly cut: StaticArray<u8>;

  constructor(private readonly wanted: WantedHeaders) {
    this.text = new StaticArray<u8>(wanted.count * MAX_HEADER);
    this.size = new StaticArray<i32>(wanted.names.length);
    this.cut = new StaticArray<u8>(wanted.names.length);
  }

  reset(): void {
    for (let i = 0; i < this.size.length; i++) {
      unchecked((this.size[i] = -1));
      unchecked((this.cut[i] = 0));
    }
  }

  /**
   * Takes the header if it is wanted. Repeated ones are joined by a comma, as Envoy does. What does not fit is replaced by a hash of everything from
   * the cut on, so that two values stay two: they may be keys. O(wanted names + value).
   */
  offer(name: Bytes, value: Bytes): void {
    const wanted = this.wanted;
    if (((wanted.lengths >> (<u64>name.len & 63)) & 1) == 0) return;
    const names = wanted.names;
    for (let i = 0; i < names.length; i++) {
      if (!name.equals(unchecked(names[i]))) continue;
      let size = unchecked(this.size[i]);
      if (unchecked(wanted.places[i]) < 0) {
        unchecked((this.size[i] = 0));
        return;
      }
      if (size < 0) size = 0;
      else if (size < MAX_HEADER) {
        store<u8>(this.place(i) + <usize>size, 0x2c);
        size++;
      }
      if (value.len > MAX_HEADER - size) unchecked((this.cut[i] = 1));
      unchecked((this.size[i] = append(this.place(i), size, value)));
      return;
    }
  }

  has(index: i32): bool {
    return unchecked(this.size[index]) >= 0;
  }

  /** Not all of the value was kept: what is shown is one that a client may also send as it is, so a key has to tell them apart. */
  isCut(index: i32): bool {
    return unchecked(this.cut[index]) != 0;
  }

  /** Shows the value in `into`, empty when there was none; valid as long as this request. */
  read(index: i32, into: Bytes): Bytes {
    if (this.has(index)) into.set(this.place(index), unchecked(this.size[index]));
    else into.clear();
    return into;
  }

  private place(index: i32): usize {
    return changetype<usize>(this.text) + <usize>(unchecked(this.wanted.places[index]) * MAX_HEADER);
  }
}

/** Puts `value` behind the `size` bytes at `place`; returns the new size. */
function append(place: usize, size: i32, value: Bytes): i32 {
  if (value.len <= MAX_HEADER - size) {
    memory.copy(place + <usize>size, value.ptr, value.len);
    return size + value.len;
  }
  const start = MAX_HEADER - HASH;
  const fits = max(0, start - size);
  memory.copy(place + <usize>size, value.ptr, fits);
  // Of the place as it is, too: an earlier one of repeated headers may have been cut here already.
  const kept = xxhash64(place + <usize>start, max(0, size - start), 0);
  let hash = xxhash64(value.ptr + <usize>fits, value.len - fits, kept);
  for (let i = MAX_HEADER; i > start; hash >>= 4) store<u8>(place + <usize>--i, hexDigit(<u8>(hash & 15)));
  return MAX_HEADER;
}
