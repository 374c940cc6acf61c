/**
 * Addresses as Envoy writes them: "10.0.0.1:8000", "[fd00::1]:8000". They are compared as text, here and by Envoy, so a spelling that Envoy would not use is
 * no address.
 */
import { Bytes } from "../sdk";

const COLON: u8 = 0x3a;
const DOT: u8 = 0x2e;

export function isSocketAddress(text: Bytes): bool {
  if (text.len == 0) return false;
  return text.at(0) == 0x5b ? isV6(text) : isV4(text);
}

/** Bytes of the host in front of the last colon. */
export function hostLength(text: Bytes): i32 {
  for (let i = text.len - 1; i > 0; i--) if (text.at(i) == COLON) return i;
  return text.len;
}

function isV4(text: Bytes): bool {
  let at = 0;
  for (let part = 0; part < 4; part++) {
    const start = at;
    const value = number(text, at, 255);
    if (value < 0) return false;
    at = start + digitsOf(value);
    if (at >= text.len || text.at(at) != (part < 3 ? DOT : COLON)) return false;
    at++;
  }
  return isPort(text, at);
}

/** Lower-case digits and colons, as the shortest form has them; whether it is the shortest is not checked. */
function isV6(text: Bytes): bool {
  const close = text.indexOf(0x5d);
  if (close < 3 || close + 1 >= text.len || text.at(close + 1) != COLON) return false;
  let colons = 0;
  for (let i = 1; i < close; i++) {
    const byte = text.at(i);
    if (byte == COLON) colons++;
    else if (byte - 48 >= 10 && byte - 97 >= 6 && byte != DOT) return false;
  }
  return colons >= 2 && colons <= 7 && isPort(text, close + 2);
}

function isPort(text: Bytes, at: i32): bool {
  const value = number(text, at, 65_535);
  return value > 0 && at + digitsOf(value) == text.len;
}

/** The decimal number without leading zeros that stands at `at`; -1 for none, or one over `most`. */
function number(text: Bytes, at: i32, most: i32): i32 {
  let value = 0;
  let i = at;
  for (; i < text.len; i++) {
    const digit = <i32>text.at(i) - 48;
    if (digit < 0 || digit > 9) break;
    value = value * 10 + digit;
    if (value > most || (i > at && text.at(at) == 48)) return -1;
  }
  return i == at ? -1 : value;
}

function digitsOf(value: i32): i32 {
  let digits = 1;
  for (let rest = value; rest >= 10; rest /= 10) digits++;
  return digits;
}
