/**
 * Whose budget a request takes from: 128 bits of hash over what all budgets of the rule have in common and over the values of its key. Only the hash is
 * stored. A Rate Limit Service gets the values, of a credential only the hash.
 */
import { xxhash64 } from "../lib/xxhash64";
import { findSession } from "../pipeline/match/session";
import { Exchange } from "../pipeline/exchange";
import { Bytes, ByteWriter, hexDigit, property, Status } from "../sdk";
import { KeyPart, KeySource } from "./key-part";

const BEARER = Bytes.literal("bearer ");

/** Longer values go to a service as their hash. */
const MOST_VALUE: i32 = 256;

const text = new ByteWriter();
const value = new Bytes();
const scheme = new Bytes();

/** What `hashKey` found. */
export namespace budgetKey {
  export let low: u64 = 0;
  export let high: u64 = 0;
}

/**
 * Sets `budgetKey`. False when the request lacks a part of the key; then the hash is that of all requests which lack the same parts. A hostcall for each
 * part that is a property. O(parts). `values` gets what a service is told of each part, behind its length of two bytes.
 */
export function hashKey(identity: Bytes, parts: KeyPart[], exchange: Exchange, values: ByteWriter | null): bool {
  text.reset().bytes(identity);
  let complete = true;
  for (let i = 0; i < parts.length; i++) {
    const found = readPart(unchecked(parts[i]), exchange);
    complete = complete && found;
    // The length in front, so that no two keys run into each other; a part that is missing is none that is empty.
    text
      .byte(found ? 1 : 0)
      .decimal(found ? value.len : 0)
      .byte(0);
    if (found) text.bytes(value);
    else value.clear();
    if (values !== null) writeValue(values, unchecked(parts[i]).secret);
  }
  const bytes = text.view();
  budgetKey.low = xxhash64(bytes.ptr, bytes.len, 0);
  budgetKey.high = xxhash64(bytes.ptr, bytes.len, 1);
  return complete;
}

/** `value` as a service gets it: printable ASCII of bounded length, or 32 digits of hash. */
function writeValue(out: ByteWriter, secret: bool): void {
  if (value.len == 0 || (!secret && value.len <= MOST_VALUE && isPrintable(value))) {
    out.byte(<u8>value.len).byte(<u8>(value.len >> 8)).bytes(value);
    return;
  }
  out.byte(32).byte(0);
  for (let half: u64 = 0; half < 2; half++) {
    const hash = xxhash64(value.ptr, value.len, half);
    for (let shift = 60; shift >= 0; shift -= 4) out.byte(hexDigit(<u8>((hash >> shift) & 15)));
  }
}

function isPrintable(bytes: Bytes): bool {
  for (let i = 0; i < bytes.len; i++) if (bytes.at(i) - 0x20 > 0x5e) return false;
  return true;
}

/** Shows the part in `value`. */
function readPart(part: KeyPart, exchange: Exchange): bool {
  switch (part.source) {
    case KeySource.ApiKey:
      return readCredential(part.headers, exchange);
    case KeySource.Property:
      return property.get(part.text, value) == Status.Ok && value.len > 0;
    case KeySource.ClientAddress:
      if (property.get(part.text, value) != Status.Ok) return false;
      value.len = withoutPort(value);
      return value.len > 0;
    case KeySource.Model:
      value.set(exchange.model.ptr, exchange.model.len);
      return value.len > 0;
    case KeySource.Session:
      return findSession(exchange, value);
    case KeySource.Constant:
      value.set(part.text.ptr, part.text.len);
      return true;
    default:
      return exchange.headers.read(unchecked(part.headers[0]), value).len > 0;
  }
}

/** The first header that is there; what stands behind `Bearer `, however it is written. */
function readCredential(headers: i32[], exchange: Exchange): bool {
  for (let i = 0; i < headers.length; i++) {
    if (exchange.headers.read(unchecked(headers[i]), value).len == 0) continue;
    if (value.len > BEARER.len) {
      scheme.set(value.ptr, BEARER.len);
      if (scheme.equalsIgnoreCase(BEARER)) value.set(value.ptr + <usize>BEARER.len, value.len - BEARER.len);
    }
    return true;
  }
  return false;
}

/** Bytes in front of the last colon: `127.0.0.1:80`, `[::1]:80`. */
function withoutPort(address: Bytes): i32 {
  for (let i = address.len - 1; i > 0; i--) if (address.at(i) == 0x3a) return i;
  return address.len;
}
