import { MapType, Status } from "./abi";
import { Bytes } from "./bytes";
import { headers } from "./hostcalls/header-map";

/**
 * All headers of a map with one hostcall, walked in place.
 *
 *   |count: u32|klen: u32|vlen: u32| ... |key|0|value|0| ...        borrowed from the scratch arena
 *
 *   if (map.load(MapType.HttpRequestHeaders) == Status.Ok) while (map.next()) { map.name ...; map.value ...; }
 *
 * Names are lower-case in Envoy. Bounds are checked at every step: a malformed map ends the walk, it never reads outside.
 */
@final
export class HeaderPairs {
  readonly name: Bytes = new Bytes();
  readonly value: Bytes = new Bytes();
  private readonly data: Bytes = new Bytes();
  private count: u32 = 0;
  private index: u32 = 0;
  private offset: u32 = 0;

  /**
   * Reads the map. `ParseFailure` when the host's bytes are no map; how many pairs it has is bounded by their length alone, so that no header
   * hides behind a limit.
   */
  load(type: MapType): Status {
    this.count = 0;
    let status = headers.pairs(type, this.data);
    if (status == Status.Ok && this.data.len >= 4) {
      const count = load<u32>(this.data.ptr);
      if (<u64>count * 8 + 4 <= <u64>this.data.len) this.count = count;
      else status = Status.ParseFailure;
    }
    this.rewind();
    return status;
  }

  /** Pairs of the map that was loaded. */
  get size(): u32 {
    return this.count;
  }

  rewind(): void {
    this.index = 0;
    this.offset = 4 + this.count * 8;
  }

  next(): bool {
    if (this.index == this.count) return false;
    const sizes = this.data.ptr + 4 + this.index * 8;
    const nameSize = load<u32>(sizes);
    const valueSize = load<u32>(sizes, 4);
    const end = <u64>this.offset + nameSize + valueSize + 2;
    if (end > <u64>this.data.len) {
      this.index = this.count;
      return false;
    }
    this.name.set(this.data.ptr + this.offset, nameSize);
    this.value.set(this.data.ptr + this.offset + nameSize + 1, valueSize);
    this.offset = <u32>end;
    this.index++;
    return true;
  }
}
