/**
 * Whose request it is: the values of a rule's key in this request. A budget is found by 128 bits of hash over what all budgets of the rule have in common
 * and over the values (`hashKey`); only the hash is stored. A Rate Limit Service gets the values, of a credential only the hash. Where answers are kept
 * apart by it, the values go into a hash with a secret (`writeKey`): this one withstands chance, not somebody who looks for two values with one hash.
 */
import { xxhash64 } from "../../lib/xxhash64";
import { Bytes, ByteWriter, hexDigit, property, Status } from "../../sdk";
import { Exchange } from "../exchange";
import { findSession } from "../match/session";
import { KeyPart, KeySource } from "./key-part";

const BEARER = Bytes.literal("bearer ");

/** Longer values go to a service as their hash. */
const MOST_VALUE: i32 = 256;

const text = new ByteWriter();
const value = new Bytes();
/** What `value` shows is what was kept of a longer header. */
let isCut: bool = false;
const scheme = new Bytes();

/** What `hashKey` found. */
export namespace callerKey {
  export let low: u64 = 0;
  export let high: u64 = 0;
}

/**
 * Sets `callerKey`. False when the request lacks a part of the key; then the hash is that of all requests which lack the same parts. A hostcall for each
 * part that is a property. O(parts). `values` gets what a service is told of each part, behind its length of two bytes.
 */
export function hashKey(identity: Bytes, parts: KeyPart[], exchange: Exchange, values: ByteWriter | null): bool {
  text.reset().bytes(identity);
  let complete = true;
  for (let i = 0; i < parts.length; i++) {
    const found = readPart(unchecked(parts[i]), exchange);
    complete = complete && found;
    write(text, found);
    if (values !== null) writeValue(values, unchecked(parts[i]).secret);
  }
  const bytes = text.view();
  callerKey.low = xxhash64(bytes.ptr, bytes.len, 0);
  callerKey.high = xxhash64(bytes.ptr, bytes.len, 1);
  return complete;
}

/**
 * Appends the values to `out`, each behind its length, so that no two keys are the same text. False when the request lacks a part. Of a credential that may
 * stand in several headers all are written: which of them the upstream goes by is not known here. O(parts + values), a hostcall for each part that is
 * a property.
 */
export function writeKey(parts: KeyPart[], exchange: Exchange, out: ByteWriter): bool {
  let complete = true;
  for (let i = 0; i < parts.length; i++) {
    const part = unchecked(parts[i]);
    if (part.source == KeySource.ApiKey) {
      if (!writeCredentials(part.headers, exchange, out)) complete = false;
      continue;
    }
    const found = readPart(part, exchange);
    complete = complete && found;
    write(out, found);
  }
  return complete;
}

function writeCredentials(headers: i32[], exchange: Exchange, out: ByteWriter): bool {
  let some = false;
  for (let i = 0; i < headers.length; i++) {
    const found = readHeader(unchecked(headers[i]), exchange);
    some = some || found;
    write(out, found);
  }
  return some;
}

/** `value` with its length in front, so that no two keys run into each other; a part that is missing is none that is empty. */
function write(out: ByteWriter, found: bool): void {
  if (!found) value.clear();
  out.byte(!found ? 0 : isCut ? 2 : 1).decimal(value.len).byte(0).bytes(value);
}

/** `value` as a service gets it: printable ASCII of bounded length, or 32 digits of hash. */
function writeValue(out: ByteWriter, secret: bool): void {
  if (value.len == 0 || (!secret && value.len <= MOST_VALUE && isPrintable(value))) {
    out.byte(<u8>value.len).byte(<u8>(value.len >> 8)).bytes(value);
    return;
  }
  out.byte(32).byte(0);
  for (let half: u64 = 0; half < 2; half++) {
    const hash = xxhash64(value.ptr, value.len, isCut ? half + 2 : half);
    for (let shift = 60; shift >= 0; shift -= 4) out.byte(hexDigit(<u8>((hash >> shift) & 15)));
  }
}

function isPrintable(bytes: Bytes): bool {
  for (let i = 0; i < bytes.len; i++) if (bytes.at(i) - 0x20 > 0x5e) return false;
  return true;
}

/** Shows the part in `value`. */
function readPart(part: KeyPart, exchange: Exchange): bool {
  isCut = false;
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
      return readHeader(unchecked(part.headers[0]), exchange);
  }
}

function readHeader(index: i32, exchange: Exchange): bool {
  isCut = exchange.headers.isCut(index);
  return exchange.headers.read(index, value).len > 0;
}

/** The first header that is there; what stands behind `Bearer `, however it is written. */
function readCredential(headers: i32[], exchange: Exchange): bool {
  for (let i = 0; i < headers.length; i++) {
    if (!readHeader(unchecked(headers[i]), exchange)) continue;
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
