import { Bytes, ByteWriter, HeaderBatch, HeaderPairs, headers, MapType, Status } from "../sdk";

const batch = new HeaderBatch();
const value = new Bytes();

/** Changes of the headers of a request or an answer, collected while stages are asked, then written together: of one name the last change counts. */
@final
export class HeaderChanges {
  private readonly names: Bytes[] = [];
  /** Where the values stand in `values`: two for each name; -1 and -1 for one that is removed. */
  private readonly places: i32[] = [];
  private readonly values: ByteWriter = new ByteWriter();

  constructor(private readonly type: MapType) {}

  /** How many names change. */
  get count(): i32 {
    return this.names.length;
  }

  clear(): void {
    this.names.length = 0;
    this.places.length = 0;
    this.values.reset();
  }

  /** In place of all values of that name. The name has to stay: a literal, or of the configuration. */
  replace(name: Bytes, text: Bytes): void {
    const start = this.values.len;
    this.values.bytes(text);
    this.place(name, start, this.values.len);
  }

  remove(name: Bytes): void {
    this.place(name, -1, -1);
  }

  /** One hostcall for all, and one to read the headers if they are not `given`. Leaves nothing to be written where it has done it. */
  writeTogether(given: HeaderPairs | null): void {
    if (!batch.begin(this.type, this.names, given)) return;
    for (let i = 0; i < this.names.length; i++) if (this.isValue(i)) batch.pairs.add(unchecked(this.names[i]), value);
    if (batch.end() == Status.Ok) this.clear();
  }

  /** One hostcall for each. */
  writeEach(): void {
    for (let i = 0; i < this.names.length; i++) {
      const name = unchecked(this.names[i]);
      if (this.isValue(i)) headers.replace(this.type, name, value);
      else headers.remove(this.type, name);
    }
    this.clear();
  }

  private place(name: Bytes, start: i32, end: i32): void {
    for (let i = 0; i < this.names.length; i++) {
      if (!name.equals(unchecked(this.names[i]))) continue;
      unchecked((this.places[i * 2] = start));
      unchecked((this.places[i * 2 + 1] = end));
      return;
    }
    this.names.push(name);
    this.places.push(start);
    this.places.push(end);
  }

  /** Shows it in `value`; false for a name that is removed. */
  private isValue(index: i32): bool {
    const start = unchecked(this.places[index * 2]);
    if (start < 0) return false;
    value.set(this.values.view().ptr + <usize>start, unchecked(this.places[index * 2 + 1]) - start);
    return true;
  }
}
