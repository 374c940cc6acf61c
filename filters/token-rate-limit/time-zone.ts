/** Longest distance from UTC, in minutes: 14 hours, on the Line Islands. */
const MOST: i32 = 14 * 60;

/** What `offsetOf` gives for a text that is no time zone. */
export const NO_OFFSET: i32 = i32.MIN_VALUE;

/** Seconds by which local time is ahead of UTC: `Z`, `+hh:mm` or `-hh:mm` (RFC 3339's offsets), from -14:00 to +14:00. */
export function offsetOf(text: string): i32 {
  if (text == "Z") return 0;
  if (text.length != 6 || text.charAt(3) != ":") return NO_OFFSET;
  const sign = text.charAt(0);
  const hours = twoDigits(text, 1);
  const minutes = twoDigits(text, 4);
  if ((sign != "+" && sign != "-") || hours < 0 || minutes < 0 || minutes > 59) return NO_OFFSET;
  const offset = hours * 60 + minutes;
  if (offset > MOST) return NO_OFFSET;
  return (sign == "-" ? -offset : offset) * 60;
}

function twoDigits(text: string, at: i32): i32 {
  const tens = text.charCodeAt(at) - 48;
  const ones = text.charCodeAt(at + 1) - 48;
  return tens < 0 || tens > 9 || ones < 0 || ones > 9 ? -1 : tens * 10 + ones;
}
