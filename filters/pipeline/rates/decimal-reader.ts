import { fixedPoint } from "../../lib/fixed-point";
import { JsonNode, NodeKind } from "../../lib/json-document";
import { ConfigReader } from "../config-reader";

/**
 * A number in units of 1/`scale`, exactly as it is written: one with more decimals is a fault, it is never rounded. `least` and `most` are units, too;
 * `scale` is a power of ten. `least` when there is a fault.
 */
export function readDecimal(reader: ConfigReader, path: string, node: JsonNode, scale: i64, least: i64, most: i64): i64 {
  const units = node.kind == NodeKind.Number ? fixedPoint(node.number, scale) : -1;
  if (units >= least && units <= most) return units;
  const range = decimal(least, scale) + " to " + decimal(most, scale);
  if (scale == 1) reader.fail(path, "must be a whole number from " + range);
  else reader.fail(path, "must be a number from " + range + " with at most " + decimals(scale).toString() + " decimals");
  return least;
}

function decimals(scale: i64): i32 {
  let count = 0;
  for (let rest = scale; rest > 1; rest /= 10) count++;
  return count;
}

/** 1 unit at a scale of 1000 is 0.001. */
function decimal(units: i64, scale: i64): string {
  const whole = (units / scale).toString();
  const rest = units % scale;
  return rest == 0 ? whole : whole + "." + rest.toString().padStart(decimals(scale), "0");
}
