/**
 * A small JSON document, for plugin configuration only: parsed once in `onConfigure`, never from traffic.
 *
 * A library such as json-as throws on bad input, and a throw ends the VM. This one returns null and says where.
 * Grammar: RFC 8259, strict; duplicate keys are an error, because two answers to one question are a mistake in a configuration.
 */
export const enum NodeKind {
  Null = 0,
  Boolean = 1,
  Number = 2,
  String = 3,
  Array = 4,
  Object = 5,
}

/** Deepest nesting of a configuration. */
const MAX_DEPTH: i32 = 16;

@final
export class JsonNode {
  /** String value; empty for other kinds. */
  text: string = "";
  /** Number value; 1 or 0 for booleans. */
  number: f64 = 0;
  /** Members of an object in their order, or elements of an array (with empty names). */
  readonly names: string[] = [];
  readonly values: JsonNode[] = [];

  constructor(readonly kind: NodeKind) {}

  /** Member of an object, or null. O(members). */
  get(name: string): JsonNode | null {
    for (let i = 0; i < this.names.length; i++) if (this.names[i] == name) return this.values[i];
    return null;
  }
}

@final
export class JsonDocument {
  /** Why `parse` returned null, with the byte offset. */
  error: string = "";
  private at: usize = 0;
  private start: usize = 0;
  private end: usize = 0;

  /** Parses bytes [from, from + length). Null and `error` when they are not one JSON value. */
  parse(from: usize, length: i32): JsonNode | null {
    this.error = "";
    this.at = from;
    this.start = from;
    this.end = from + <usize>length;
    const node = this.value(0);
    if (node === null) return null;
    this.space();
    return this.at == this.end ? node : this.fail("unexpected text behind the value");
  }

  private fail(reason: string): JsonNode | null {
    if (this.error.length == 0) this.error = reason + " at byte " + (this.at - this.start).toString();
    return null;
  }

  private space(): void {
    while (this.at < this.end) {
      const byte = load<u8>(this.at);
      if (byte != 0x20 && byte != 0x0a && byte != 0x0d && byte != 0x09) return;
      this.at++;
    }
  }

  /** Next byte behind white space, or 0 at the end. */
  private peek(): u8 {
    this.space();
    return this.at < this.end ? load<u8>(this.at) : 0;
  }

  private value(depth: i32): JsonNode | null {
    if (depth > MAX_DEPTH) return this.fail("nesting deeper than " + MAX_DEPTH.toString());
    const byte = this.peek();
    if (byte == 0x7b) return this.object(depth);
    if (byte == 0x5b) return this.array(depth);
    if (byte == 0x22) {
      const node = new JsonNode(NodeKind.String);
      return this.string(node) ? node : null;
    }
    if (byte == 0x74) return this.literal("true", NodeKind.Boolean, 1);
    if (byte == 0x66) return this.literal("false", NodeKind.Boolean, 0);
    if (byte == 0x6e) return this.literal("null", NodeKind.Null, 0);
    return this.numeral();
  }

  private object(depth: i32): JsonNode | null {
    const node = new JsonNode(NodeKind.Object);
    this.at++;
    if (this.peek() == 0x7d) {
      this.at++;
      return node;
    }
    while (true) {
      if (this.peek() != 0x22) return this.fail("a key in quotes was expected");
      const key = new JsonNode(NodeKind.String);
      if (!this.string(key)) return null;
      if (node.get(key.text) !== null) return this.fail("duplicate key '" + key.text + "'");
      if (this.peek() != 0x3a) return this.fail("':' was expected");
      this.at++;
      const member = this.value(depth + 1);
      if (member === null) return null;
      node.names.push(key.text);
      node.values.push(member);
      const next = this.peek();
      if (next != 0x2c && next != 0x7d) return this.fail("',' or '}' was expected");
      this.at++;
      if (next == 0x7d) return node;
    }
  }

  private array(depth: i32): JsonNode | null {
    const node = new JsonNode(NodeKind.Array);
    this.at++;
    if (this.peek() == 0x5d) {
      this.at++;
      return node;
    }
    while (true) {
      const element = this.value(depth + 1);
      if (element === null) return null;
      node.values.push(element);
      const next = this.peek();
      if (next != 0x2c && next != 0x5d) return this.fail("',' or ']' was expected");
      this.at++;
      if (next == 0x5d) return node;
    }
  }

  private literal(word: string, kind: NodeKind, number: f64): JsonNode | null {
    for (let i = 0; i < word.length; i++) {
      if (this.at >= this.end || load<u8>(this.at) != <u8>word.charCodeAt(i)) return this.fail("a value was expected");
      this.at++;
    }
    const node = new JsonNode(kind);
    node.number = number;
    return node;
  }

  private numeral(): JsonNode | null {
    const from = this.at;
    while (this.at < this.end) {
      const byte = load<u8>(this.at);
      const part = byte - 48 < 10 || byte == 0x2d || byte == 0x2b || byte == 0x2e || byte == 0x65 || byte == 0x45;
      if (!part) break;
      this.at++;
    }
    const first = from < this.end ? load<u8>(from) : <u8>0;
    if (this.at == from || (first != 0x2d && first - 48 >= 10)) return this.fail("a value was expected");
    const node = new JsonNode(NodeKind.Number);
    node.number = parseFloat(String.UTF8.decodeUnsafe(from, this.at - from));
    if (!isFinite(node.number)) return this.fail("a number was expected");
    return node;
  }

  /** Reads a string into `node.text`. */
  private string(node: JsonNode): bool {
    let from = ++this.at;
    while (this.at < this.end) {
      const byte = load<u8>(this.at);
      if (byte == 0x22) {
        node.text += String.UTF8.decodeUnsafe(from, this.at - from);
        this.at++;
        return true;
      }
      if (byte < 0x20) break;
      if (byte == 0x5c) {
        node.text += String.UTF8.decodeUnsafe(from, this.at - from);
        this.at++;
        if (!this.escape(node)) return false;
        from = this.at;
      } else {
        this.at++;
      }
    }
    this.fail("unterminated string");
    return false;
  }

  private escape(node: JsonNode): bool {
    const byte = this.at < this.end ? load<u8>(this.at) : <u8>0;
    this.at++;
    let unit: i32 = -1;
    if (byte == 0x22 || byte == 0x5c || byte == 0x2f) unit = byte;
    else if (byte == 0x62) unit = 8;
    else if (byte == 0x66) unit = 12;
    else if (byte == 0x6e) unit = 10;
    else if (byte == 0x72) unit = 13;
    else if (byte == 0x74) unit = 9;
    else if (byte == 0x75 && this.at + 4 <= this.end) {
      unit = 0;
      for (let i = 0; i < 4; i++) {
        const letter = load<u8>(this.at++);
        const digit = letter - 48 < 10 ? <i32>letter - 48 : (letter | 0x20) - 97 < 6 ? <i32>(letter | 0x20) - 87 : -1;
        if (digit < 0) {
          unit = -1;
          break;
        }
        unit = (unit << 4) | digit;
      }
    }
    if (unit < 0) {
      this.fail("wrong escape");
      return false;
    }
    node.text += String.fromCharCode(unit);
    return true;
  }
}
