/** Writes a model name the way the place wants it in which the request names its model. */
import { ModelPlace } from "../pipeline/exchange";
import { hex } from "../lib/json-text";
import { Bytes, ByteWriter, hexDigit } from "../sdk";

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

/** Hex digits of percent-encoding are in capitals. RFC 3986 section 2.1. */
const LETTER: u8 = 0x41;

/** Parameters in which clients may send their credential: Gemini's, OAuth's (RFC 6750 section 2.3), and those of common gateways. */
const KEYS = [Bytes.literal("key"), Bytes.literal("access_token"), Bytes.literal("api_key"), Bytes.literal("api-key"), Bytes.literal("subscription-key")];

/**
 * Writes the path with another prefix (if `rewrites`) and another model. `from` empty: every path begins with it. With `dropKeys` the query loses the
 * parameters in which clients may send a credential. `name` empty keeps the model.
 */
export function writePath(out: ByteWriter, path: RequestPath, rewrites: bool, from: Bytes, to: Bytes, name: Bytes, dropKeys: bool): ByteWriter {
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
  if (!dropKeys) return out.raw(text.ptr + <usize>path.end, text.len - path.end);
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
    else out.byte(0x25).byte(hexDigit(byte >> 4, LETTER)).byte(hexDigit(byte & 15, LETTER));
  }
}

/** Whether the query holds a credential. */
export function hasKeyParameter(path: RequestPath): bool {
  for (let at = path.end + 1; at < path.text.len; at = parameterEnd(path.text, at) + 1) {
    if (isKey(path.text, at, parameterEnd(path.text, at))) return true;
  }
  return false;
}

/** The parameters from `at` on as they are, without those that hold a credential. */
function writeQuery(out: ByteWriter, path: Bytes, at: i32): ByteWriter {
  let separator: u8 = 0x3f;
  for (let end = 0; at <= path.len; at = end + 1) {
    end = parameterEnd(path, at);
    if (isKey(path, at, end)) continue;
    out.byte(separator).raw(path.ptr + <usize>at, end - at);
    separator = 0x26;
  }
  return out;
}

function parameterEnd(path: Bytes, at: i32): i32 {
  const next = path.indexOf(0x26, at);
  return next < 0 ? path.len : next;
}

/** Whether the parameter [at, end) has one of the names, however they are written: an upstream decodes them. */
function isKey(path: Bytes, at: i32, end: i32): bool {
  for (let i = 0; i < KEYS.length; i++) if (isNamed(path, at, end, unchecked(KEYS[i]))) return true;
  return false;
}

function isNamed(path: Bytes, at: i32, end: i32, name: Bytes): bool {
  for (let i = 0; i < name.len; i++) {
    if (at >= end) return false;
    let byte = path.at(at++);
    if (byte == 0x25 && at + 1 < end) {
      byte = <u8>((hex(path.at(at)) << 4) | hex(path.at(at + 1)));
      at += 2;
    }
    if (byte != name.at(i)) return false;
  }
  return at == end || path.at(at) == 0x3d;
}
