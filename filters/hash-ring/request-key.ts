/** What a consistent hash goes by: parts of the request, hashed together. */
import { JsonKind } from "../lib/json-scanner";
import { RequestField } from "../lib/request-field";
import { xxhash64 } from "../lib/xxhash64";
import { Exchange } from "../pipeline/exchange";
import { findSession } from "../pipeline/match/session";
import { Bytes, ByteWriter, headers, MapType, Status } from "../sdk";

export const enum RequestKeySource {
  /** The captured header. */
  Header = 0,
  /** The cookie of that name. */
  Cookie = 1,
  /** The path without its query. */
  Path = 2,
  /** The user that the body names. */
  User = 3,
  /** The session that the body names. */
  Session = 4,
  /** The beginning of the prompt. */
  Prefix = 5,
}

const COOKIE = Bytes.literal("cookie");
const SEMICOLON: u8 = 0x3b;

const text = new ByteWriter();
const value = new Bytes();

@final
export class RequestKeyPart {
  constructor(
    readonly source: RequestKeySource,
    /** Index among the captured headers. */
    readonly header: i32,
    /** Of the cookie. */
    readonly name: Bytes,
  ) {}

  get isPrefix(): bool {
    return this.source == RequestKeySource.Prefix;
  }

  get needsChat(): bool {
    return this.source >= RequestKeySource.User;
  }
}

/** What `hashParts` found. */
export namespace requestKey {
  export let hash: u64 = 0;
}

/**
 * Sets `requestKey.hash`. False when the request has none of the parts: then any endpoint is as good. `prefix`: hash of the beginning of the prompt, and
 * `hasPrefix` whether there is a prompt. O(parts + values).
 */
export function hashParts(parts: RequestKeyPart[], exchange: Exchange, prefix: u64, hasPrefix: bool): bool {
  text.reset();
  let found = false;
  for (let i = 0; i < parts.length; i++) {
    const part = unchecked(parts[i]);
    // Which parts are there is part of the key: a user "a" is no session "a".
    text.byte(<u8>(i + 1));
    if (part.isPrefix) {
      if (!hasPrefix) continue;
      // A key of nothing but the prefix is the prefix itself, so that it agrees with the header that Envoy hashes.
      if (parts.length == 1) {
        requestKey.hash = prefix;
        return true;
      }
      found = true;
      text.u32(<u32>prefix).u32(<u32>(prefix >> 32));
      continue;
    }
    if (!read(part, exchange) || value.len == 0) continue;
    found = true;
    text.decimal(value.len).byte(0).bytes(value);
  }
  if (found) requestKey.hash = xxhash64(text.view().ptr, text.len, 0);
  return found;
}

/** Shows the part in `value`. */
function read(part: RequestKeyPart, exchange: Exchange): bool {
  switch (part.source) {
    case RequestKeySource.Header:
      return exchange.headers.read(part.header, value).len > 0;
    case RequestKeySource.Cookie:
      return headers.get(MapType.HttpRequestHeaders, COOKIE, value) == Status.Ok && findCookie(part.name);
    case RequestKeySource.Path:
      value.set(exchange.path.view().ptr, exchange.pathEnd);
      return true;
    case RequestKeySource.User:
      return readUser(exchange);
    default:
      return findSession(exchange, value);
  }
}

/** The cookie in `value`, in its place. */
function findCookie(name: Bytes): bool {
  let at = 0;
  while (at < value.len) {
    while (at < value.len && value.at(at) == 0x20) at++;
    const next = value.indexOf(SEMICOLON, at);
    const end = next < 0 ? value.len : next;
    const from = at + name.len;
    if (from < end && value.at(from) == 0x3d && sameAt(name, at)) {
      value.set(value.ptr + <usize>(from + 1), end - from - 1);
      return true;
    }
    at = end + 1;
  }
  return false;
}

function sameAt(name: Bytes, at: i32): bool {
  return memory.compare(value.ptr + <usize>at, name.ptr, name.len) == 0;
}

const USERS: StaticArray<i32> = [RequestField.User, RequestField.SafetyIdentifier, RequestField.MetadataUser];

function readUser(exchange: Exchange): bool {
  const chat = exchange.chat;
  if (chat === null) return false;
  for (let i = 0; i < USERS.length; i++) {
    const field = unchecked(chat.fields[unchecked(USERS[i])]);
    if (field.kind != JsonKind.String || field.length == 0) continue;
    value.set(field.value, field.length);
    return true;
  }
  return false;
}
