/** Writes a model name the way the place wants it in which the request names its model. */
import { ModelPlace } from "../pipeline/exchange";
import { Bytes, ByteWriter } from "../sdk";

/** A JSON string, a member with it when the body had none, or the plain name of a form field. `Path` has `writePath`. */
export function writeModel(out: ByteWriter, place: ModelPlace, missing: bool, hasMembers: bool, name: Bytes): ByteWriter {
  if (place == ModelPlace.Form) return out.bytes(name);
  if (missing) out.text('"model":');
  out.byte(0x22).jsonText(name).byte(0x22);
  if (missing && hasMembers) out.byte(0x2c);
  return out;
}

/** A :path header and where it names the model, as the client sent it. */
@final
export class RequestPath {
  readonly text: Bytes = new Bytes();
  /** Without the query. */
  end: i32 = 0;
  /** The model's segment; both 0 when the path names none. */
  modelStart: i32 = 0;
  modelEnd: i32 = 0;
}

const KEY = Bytes.literal("key=");
const tail = new Bytes();

/**
 * Writes the path with another prefix (if `rewrites`) and another model. `from` empty: every path begins with it. With `dropKey` the query loses its `key`
 * parameters, which is where Gemini's clients may put their credential. `name` empty keeps the model.
 */
export function writePath(out: ByteWriter, path: RequestPath, rewrites: bool, from: Bytes, to: Bytes, name: Bytes, dropKey: bool): ByteWriter {
  const text = path.text;
  let at = 0;
  if (rewrites && beginsWith(text, path.end, from)) {
    out.bytes(to);
    at = from.len;
    // A path of nothing is none.
    if (to.len == 0 && at == path.end) out.byte(0x2f);
  }
  if (name.len > 0 && path.modelEnd > 0 && at <= path.modelStart) {
    out.raw(text.ptr + <usize>at, path.modelStart - at);
    writeSegment(out, name);
    at = path.modelEnd;
  }
  out.raw(text.ptr + <usize>at, path.end - at);
  if (path.end == text.len) return out;
  if (!dropKey) return out.raw(text.ptr + <usize>path.end, text.len - path.end);
  return writeQuery(out, text, path.end + 1);
}

/** True when the path begins with the prefix and a new segment, or nothing, follows. */
function beginsWith(path: Bytes, end: i32, prefix: Bytes): bool {
  if (end < prefix.len || !path.startsWith(prefix)) return false;
  return end == prefix.len || path.at(prefix.len) == 0x2f;
}

/** Unreserved characters as they are, everything else as `%XX`. RFC 3986 section 2.3. */
function writeSegment(out: ByteWriter, name: Bytes): void {
  for (let i = 0; i < name.len; i++) {
    const byte = name.at(i);
    const letter = (byte | 0x20) - 97 < 26 || byte - 48 < 10;
    if (letter || byte == 0x2d || byte == 0x2e || byte == 0x5f || byte == 0x7e) out.byte(byte);
    else out.byte(0x25).byte(hexDigit(byte >> 4)).byte(hexDigit(byte & 15));
  }
}

function hexDigit(value: u8): u8 {
  return value < 10 ? 48 + value : 55 + value;
}

/** The parameters from `at` on, without `key`. */
function writeQuery(out: ByteWriter, path: Bytes, at: i32): ByteWriter {
  let separator: u8 = 0x3f;
  while (at < path.len) {
    const next = path.indexOf(0x26, at);
    const end = next < 0 ? path.len : next;
    tail.set(path.ptr + <usize>at, end - at);
    if (!tail.startsWith(KEY) && tail.len > 0) {
      out.byte(separator).bytes(tail);
      separator = 0x26;
    }
    at = end + 1;
  }
  return out;
}
