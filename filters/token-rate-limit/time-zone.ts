/** Reads the time zone of a limit: an RFC 3339 offset, or a POSIX time zone. There is no table of names here: it would be larger than the rest of the filter, and age. */
import { JsonNode, NodeKind } from "../lib/json-document";
import { TimeZone } from "../lib/time-zone";
import { TimeZoneParser } from "../lib/time-zone-parser";
import { ConfigReader } from "../pipeline/config-reader";

/** Longest distance from UTC, in minutes: 14 hours, on the Line Islands. */
const MOST: i32 = 14 * 60;
const NO_OFFSET: i32 = i32.MIN_VALUE;

/** UTC with a fault. */
export function readTimeZone(reader: ConfigReader, path: string, node: JsonNode): TimeZone {
  const text = node.kind == NodeKind.String ? node.text : "";
  const seconds = offsetOf(text);
  if (seconds != NO_OFFSET) return new TimeZone(<i64>seconds * 1000);
  if (text.length == 0 || isDigit(text.charCodeAt(0)) || isSign(text.charCodeAt(0))) {
    reader.fail(path, "must be Z, an offset from -14:00 to +14:00 such as +02:00, or a POSIX time zone such as CET-1CEST,M3.5.0,M10.5.0/3");
    return new TimeZone(0);
  }
  const parser = new TimeZoneParser(text);
  const zone = parser.parse();
  if (zone !== null) return zone;
  if (isName(text)) reader.fail(path, "is a name, and this filter knows none; write what `tail -n1 /usr/share/zoneinfo/" + text + "` prints, such as CET-1CEST,M3.5.0,M10.5.0/3");
  else reader.fail(path, parser.fault);
  return new TimeZone(0);
}

/** Seconds by which local time is ahead of UTC: `Z`, `+hh:mm` or `-hh:mm` (RFC 3339's offsets), from -14:00 to +14:00. */
function offsetOf(text: string): i32 {
  if (text == "Z") return 0;
  if (text.length != 6 || text.charAt(3) != ":") return NO_OFFSET;
  const hours = twoDigits(text, 1);
  const minutes = twoDigits(text, 4);
  if (!isSign(text.charCodeAt(0)) || hours < 0 || minutes < 0 || minutes > 59) return NO_OFFSET;
  const offset = hours * 60 + minutes;
  if (offset > MOST) return NO_OFFSET;
  return (text.charAt(0) == "-" ? -offset : offset) * 60;
}

function twoDigits(text: string, at: i32): i32 {
  const tens = text.charCodeAt(at);
  const ones = text.charCodeAt(at + 1);
  return isDigit(tens) && isDigit(ones) ? tens * 10 + ones - 528 : -1;
}

/** Looks like Europe/Berlin or UTC, at most 64 characters. */
function isName(text: string): bool {
  let slash = false;
  let digit = false;
  for (let i = 0; i < text.length; i++) {
    const char = text.charCodeAt(i);
    if (char == 0x2f) slash = true;
    else if (isDigit(char)) digit = true;
    else if (<u32>((char | 0x20) - 0x61) >= 26 && char != 0x5f && !isSign(char)) return false;
  }
  return (slash || !digit) && text.length <= 64;
}

function isDigit(char: i32): bool {
  return <u32>(char - 0x30) < 10;
}

function isSign(char: i32): bool {
  return char == 0x2b || char == 0x2d;
}
