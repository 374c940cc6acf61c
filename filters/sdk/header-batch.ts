import { MapType, Status } from "./abi";
import { Bytes } from "./bytes";
import { HeaderPairs } from "./header-pairs";
import { headers } from "./hostcalls/header-map";
import { HEADER_MAP_BYTES, HEADER_MAP_PAIRS } from "./limits";
import { PairsWriter } from "./writer";

/**
 * Sets several headers of one map with two hostcalls, whatever their number; `headers.replace` takes one for each.
 *
 *   if (batch.begin(MapType.HttpResponseHeaders, names)) { batch.pairs.add(name, value) ...; batch.end(); }
 *
 * It saves calls, not time: Envoy empties the map and fills it again. Six headers beside 6 or 14 others take 4.2 and 6.3 µs in it, six times `replace` 2.4 µs.
 * All other headers stay as they are, in their order, repeated ones too; Envoy itself puts those that begin with a colon first.
 */
@final
export class HeaderBatch {
  /** Where the new pairs go, between `begin` and `end`. */
  readonly pairs: PairsWriter = new PairsWriter();
  private readonly own: HeaderPairs = new HeaderPairs();
  private type: MapType = MapType.HttpRequestHeaders;
  private names: Bytes[] = [];
  /** Bit n: some name has n bytes, modulo 64. Most headers need no comparison. */
  private lengths: u64 = 0;

  /** `names`: lower-case; all values that they have are removed. One hostcall, or none with the headers in `given`, read before and rewound. False when the map cannot be read, or is so large that Envoy would not take it back and lose all of it: nothing is changed then. O(bytes of the map). */
  begin(type: MapType, names: Bytes[], given: HeaderPairs | null = null): bool {
    this.names = names;
    this.lengths = 0;
    for (let i = 0; i < names.length; i++) this.lengths |= 1 << (<u64>unchecked(names[i]).len & 63);
    const map = given === null ? this.own : given;
    if ((given === null && map.load(type) != Status.Ok) || map.size + <u32>this.names.length > HEADER_MAP_PAIRS) return false;
    this.type = type;
    this.pairs.reset();
    let read: u32 = 0;
    while (map.next()) {
      read++;
      if (!this.sets(map.name)) this.pairs.add(map.name, map.value);
    }
    return read == map.size;
  }

  /** One hostcall, or none: anything but Ok, and the map is as it was. */
  end(): Status {
    if (this.pairs.byteSize > HEADER_MAP_BYTES) return Status.BadArgument;
    return headers.setPairs(this.type, this.pairs);
  }

  private sets(name: Bytes): bool {
    if (((this.lengths >> (<u64>name.len & 63)) & 1) == 0) return false;
    for (let i = 0; i < this.names.length; i++) if (name.equals(unchecked(this.names[i]))) return true;
    return false;
  }
}
