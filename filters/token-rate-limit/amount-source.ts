/** Amounts that requests say themselves: in a header that a filter in front has set, or in dynamic metadata. */
import { MONEY_SCALE, LimitUnit, WEIGHT_SCALE } from "../lib/token-charge";
import { KeyPart, KeySource } from "../pipeline/caller-key/key-part";
import { Exchange } from "../pipeline/exchange";
import { Bytes, property, Status } from "../sdk";
import { Limit } from "./limit";

const value = new Bytes();

/**
 * Fills `amounts`, by limit, in the units of each; 0 where the configured amount holds: nothing is said, or no number above 0 that an amount may be.
 * A hostcall for each property.
 */
export function readAmounts(limits: Limit[], exchange: Exchange, amounts: StaticArray<i64>): void {
  for (let i = 0; i < limits.length; i++) {
    const limit = unchecked(limits[i]);
    const source = limit.amountFrom;
    unchecked((amounts[i] = source === null ? 0 : readAmount(limit, source, exchange)));
  }
}

function readAmount(limit: Limit, source: KeyPart, exchange: Exchange): i64 {
  if (source.source == KeySource.Header) exchange.headers.read(unchecked(source.headers[0]), value);
  else if (property.get(source.text, value) != Status.Ok) return 0;
  let said = decimal(value);
  // A number of metadata comes as the eight bytes of a double.
  if (said == 0 && value.len == 8) said = load<f64>(value.ptr);
  const scale = scaleOf(limit.unit);
  const units = said * scale;
  return units >= 1 && units <= <f64>limit.most ? <i64>(scale == 1 ? floor(units) : nearest(units)) : 0;
}

function scaleOf(unit: LimitUnit): f64 {
  return unit == LimitUnit.Money ? <f64>MONEY_SCALE : unit == LimitUnit.WeightedTokens ? <f64>WEIGHT_SCALE : 1;
}

/** A number without sign and exponent; 0 for anything else. */
function decimal(text: Bytes): f64 {
  if (text.len == 0 || text.len > 24) return 0;
  let number: f64 = 0;
  let scale: f64 = 0;
  for (let i = 0; i < text.len; i++) {
    const byte = text.at(i);
    if (byte == 0x2e && scale == 0 && i > 0) {
      scale = 1;
    } else if (isDigit(byte)) {
      number = number * 10 + <f64>(byte - 48);
      scale *= 10;
    } else return 0;
  }
  return scale > 1 ? number / scale : number;
}

@inline
function isDigit(byte: u8): bool {
  return byte >= 48 && byte <= 57;
}
