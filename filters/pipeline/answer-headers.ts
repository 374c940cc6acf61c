/**
 * What stages change of the headers of an answer: collected while they are asked, then written together. Nobody overwrites what another stage has written, and
 * many headers cost one hostcall where the answer's own have been read anyway.
 */
import { Bytes, ByteWriter, HeaderBatch, headers, MapType, Status } from "../sdk";
import { answerHead } from "./answer-head";

/** Up to so many, one by one is cheaper, because Envoy empties the map to take it anew; and where nobody has read the headers yet. */
const FEW_READ: i32 = 2;
const FEW: i32 = 4;

const names: Bytes[] = [];
/** Where the values stand in `values`: two for each name; -1 and -1 for one that is removed. */
const places: i32[] = [];
const values = new ByteWriter();
const value = new Bytes();
const batch = new HeaderBatch();

export namespace answerHeaders {
  /** In place of all values of that name. The name has to stay: a literal, or of the configuration. */
  export function replace(name: Bytes, text: Bytes): void {
    names.push(name);
    places.push(values.len);
    values.bytes(text);
    places.push(values.len);
  }

  export function remove(name: Bytes): void {
    names.push(name);
    places.push(-1);
    places.push(-1);
  }

  /** To the answer whose headers the callback shows. A hostcall for each of a few; else one for all, and one to read the headers if nobody has. `willRead`: somebody will. */
  export function write(willRead: bool): void {
    if (names.length > (willRead || answerHead.isRead() ? FEW_READ : FEW)) writeTogether();
    if (names.length > 0) writeEach();
    begin();
  }
}

function begin(): void {
  names.length = 0;
  places.length = 0;
  values.reset();
}

/** Leaves nothing to be written where it has done it. */
function writeTogether(): void {
  const head = answerHead.read();
  if (head === null || !batch.begin(MapType.HttpResponseHeaders, names, head)) return;
  for (let i = 0; i < names.length; i++) if (isValue(i)) batch.pairs.add(unchecked(names[i]), value);
  if (batch.end() == Status.Ok) begin();
}

function writeEach(): void {
  for (let i = 0; i < names.length; i++) {
    const name = unchecked(names[i]);
    if (isValue(i)) headers.replace(MapType.HttpResponseHeaders, name, value);
    else headers.remove(MapType.HttpResponseHeaders, name);
  }
}

/** Shows it in `value`; false for a name that is removed. */
function isValue(index: i32): bool {
  const start = unchecked(places[index * 2]);
  if (start < 0) return false;
  value.set(values.view().ptr + <usize>start, unchecked(places[index * 2 + 1]) - start);
  return true;
}
