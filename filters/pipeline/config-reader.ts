/**
 * Reads configuration values with their limits and collects every fault, each as `path: what is wrong and what to write instead`.
 *
 * A reader never stops at a fault and always returns something of the right type: the caller goes on, and refuses the configuration when
 * there were faults at the end. Runs in `onConfigure` only, so it may allocate.
 */
import { JsonNode, NodeKind } from "../lib/json-document";
import { Bytes } from "../sdk";
import { isReserved, RESERVED_PREFIX } from "./reserved-headers";

@final
export class ConfigReader {
  readonly faults: string[] = [];

  fail(path: string, fault: string): void {
    this.faults.push(path + ": " + fault);
  }

  unknown(path: string): void {
    this.fail(path, "unknown field; remove it or correct its spelling");
  }

  /** True for an object; its members may then be read. */
  isObject(path: string, node: JsonNode): bool {
    if (node.kind == NodeKind.Object) return true;
    this.fail(path, "must be an object");
    return false;
  }

  /** The elements of a list of `least` to `most`; none when it is anything else. */
  list(path: string, node: JsonNode, least: i32, most: i32): JsonNode[] {
    if (node.kind == NodeKind.Array && node.values.length >= least && node.values.length <= most) return node.values;
    this.fail(path, "must be a list of " + least.toString() + " to " + most.toString() + " entries");
    return [];
  }

  flag(path: string, node: JsonNode): bool {
    if (node.kind != NodeKind.Boolean) this.fail(path, "must be true or false");
    return node.number == 1;
  }

  integer(path: string, node: JsonNode, least: i32, most: i32): i32 {
    const value = node.number;
    if (node.kind == NodeKind.Number && value == Math.floor(value) && value >= <f64>least && value <= <f64>most) return <i32>value;
    this.fail(path, "must be a whole number from " + least.toString() + " to " + most.toString());
    return least;
  }

  /** With a fraction, if need be. */
  number(path: string, node: JsonNode, least: i32, most: i32): f64 {
    if (node.kind == NodeKind.Number && node.number >= <f64>least && node.number <= <f64>most) return node.number;
    this.fail(path, "must be a number from " + least.toString() + " to " + most.toString());
    return <f64>least;
  }

  /** A string of 1 to `most` bytes of UTF-8. */
  text(path: string, node: JsonNode, most: i32 = 256): Bytes {
    const value = Bytes.literal(node.kind == NodeKind.String ? node.text : "");
    if (value.len < 1 || value.len > most) this.fail(path, "must be a string of 1 to " + most.toString() + " bytes");
    return value;
  }

  /** As `text`, without control characters: names of models and tenants stand in header values. */
  plain(path: string, node: JsonNode): Bytes {
    const value = this.text(path, node);
    for (let i = 0; i < value.len; i++) {
      const byte = value.at(i);
      if (byte >= 0x20 && byte != 0x7f) continue;
      this.fail(path, "must not have control characters");
      break;
    }
    return value;
  }

  /** As `text`, of visible ASCII, as header values and paths need it. */
  visible(path: string, node: JsonNode, most: i32 = 256): Bytes {
    const value = this.text(path, node, most);
    if (!isVisible(value)) this.fail(path, "must be visible ASCII");
    return value;
  }

  /** As `visible`, spaces allowed inside. */
  headerValue(path: string, node: JsonNode, most: i32 = 256): Bytes {
    const value = this.text(path, node, most);
    for (let i = 0; i < value.len; i++) {
      if (value.at(i) - 0x20 < 0x5f) continue;
      this.fail(path, "must be visible ASCII or spaces");
      break;
    }
    return value;
  }

  /** A header name as Envoy shows it. */
  headerName(path: string, node: JsonNode): Bytes {
    const name = this.text(path, node, 64);
    for (let i = 0; i < name.len; i++) {
      const byte = name.at(i);
      if (byte - 97 < 26 || byte - 48 < 10 || byte == 0x2d) continue;
      this.fail(path, "must be a header name of lower-case letters, digits and '-'");
      break;
    }
    return name;
  }

  /** The name of a header that requests bring along: one that is removed could never be read. */
  requestHeader(path: string, node: JsonNode): Bytes {
    const name = this.headerName(path, node);
    if (isReserved(name)) {
      this.fail(path, "is removed from every request before one is read; choose another header, one that does not begin with " + RESERVED_PREFIX.toString());
    }
    return name;
  }

  /** A name that others refer to: letters, digits, '.', '_' and '-', the first a letter or digit, at most 64. */
  identifier(path: string, node: JsonNode): Bytes {
    const name = this.text(path, node, 64);
    if (!isIdentifier(name)) this.fail(path, "must be letters, digits, '.', '_' or '-' and begin with a letter or digit");
    return name;
  }

  /** One of `words`; -1 otherwise. */
  oneOf(path: string, node: JsonNode, words: string[]): i32 {
    const found = node.kind == NodeKind.String ? words.indexOf(node.text) : -1;
    if (found < 0) this.fail(path, "must be one of " + words.join(", "));
    return found;
  }

  /** Milliseconds of a duration such as "10s" or "500ms". */
  milliseconds(path: string, node: JsonNode, least: i32, most: i32): i32 {
    const text = node.kind == NodeKind.String ? node.text : "";
    const seconds = text.endsWith("s") && !text.endsWith("ms");
    const digits = text.substring(0, text.length - (seconds ? 1 : 2));
    let value: i64 = digits.length > 0 && digits.length <= 9 && (seconds || text.endsWith("ms")) ? 0 : -1;
    for (let i = 0; i < digits.length && value >= 0; i++) {
      const digit = digits.charCodeAt(i) - 48;
      value = digit >= 0 && digit <= 9 ? value * 10 + digit : -1;
    }
    if (seconds && value >= 0) value *= 1000;
    if (value >= least && value <= most) return <i32>value;
    this.fail(path, 'must be a duration from "' + least.toString() + 'ms" to "' + most.toString() + 'ms", such as "10s"');
    return least;
  }
}

export function isVisible(text: Bytes): bool {
  for (let i = 0; i < text.len; i++) if (text.at(i) - 0x21 >= 0x5e) return false;
  return true;
}

function isIdentifier(name: Bytes): bool {
  for (let i = 0; i < name.len; i++) {
    const byte = name.at(i);
    const plain = (byte | 0x20) - 97 < 26 || byte - 48 < 10;
    if (!plain && (i == 0 || (byte != 0x2e && byte != 0x5f && byte != 0x2d))) return false;
  }
  return name.len > 0;
}
