/**
 * Value of a JSON number without a string in between: `parseFloat` would allocate one.
 *
 * Exact for numbers of at most 15 digits with exponents of at most 22, by one correctly rounded operation (Clinger 1990); beyond that within a few
 * units of the last place, which is more than a limit or a temperature needs. Reference: RFC 8259 section 6.
 */

/** Digits that fit into a double. */
const MAX_DIGITS: i32 = 15;
/** Exponents beyond this are zero or infinity, whatever the digits. */
const MAX_EXPONENT: i32 = 100_000;

/** The number in bytes [at, at + length), or NaN when it is not spelled as JSON wants it. */
export function jsonNumber(at: usize, length: i32): f64 {
  const end = at + <usize>length;
  const negative = at < end && load<u8>(at) == 0x2d;
  if (negative) at++;
  let mantissa: f64 = 0;
  let digits = 0;
  let exponent = 0;
  const first = at;
  while (at < end && load<u8>(at) - 48 < 10) {
    const digit = load<u8>(at++) - 48;
    if (digits < MAX_DIGITS) mantissa = mantissa * 10 + <f64>digit;
    else exponent++;
    if (digits > 0 || digit > 0) digits++;
  }
  if (at == first || (load<u8>(first) == 0x30 && at > first + 1)) return NaN;
  if (at < end && load<u8>(at) == 0x2e) {
    const fraction = ++at;
    while (at < end && load<u8>(at) - 48 < 10) {
      const digit = load<u8>(at++) - 48;
      if (digits < MAX_DIGITS) {
        mantissa = mantissa * 10 + <f64>digit;
        exponent--;
        if (digits > 0 || digit > 0) digits++;
      }
    }
    if (at == fraction) return NaN;
  }
  if (at < end && (load<u8>(at) | 0x20) == 0x65) {
    at++;
    const minus = at < end && load<u8>(at) == 0x2d;
    if (minus || (at < end && load<u8>(at) == 0x2b)) at++;
    const scale = at;
    let written = 0;
    while (at < end && load<u8>(at) - 48 < 10) {
      if (written < MAX_EXPONENT) written = written * 10 + (load<u8>(at) - 48);
      at++;
    }
    if (at == scale) return NaN;
    exponent += minus ? -written : written;
  }
  if (at != end) return NaN;
  const value = scaled(mantissa, exponent);
  return negative ? -value : value;
}

/** `mantissa` times ten to the power of `exponent`. */
function scaled(mantissa: f64, exponent: i32): f64 {
  if (mantissa == 0) return 0;
  while (exponent > 22 && isFinite(mantissa)) {
    mantissa *= 1e22;
    exponent -= 22;
  }
  while (exponent < -22 && mantissa != 0) {
    mantissa /= 1e22;
    exponent += 22;
  }
  if (exponent > 22 || (exponent < -22 && mantissa == 0)) return mantissa;
  let power: f64 = 1;
  for (let i = exponent < 0 ? -exponent : exponent; i > 0; i--) power *= 10;
  return exponent < 0 ? mantissa / power : mantissa * power;
}
