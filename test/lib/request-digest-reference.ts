import { type Key, SipModel, wordOf } from "./sip-hash-reference.ts";

/** What filters/lib/request-digest promises, over a tree of values: which bodies are one, and the very bytes that are hashed. */

export type Value =
  | { kind: "text"; text: string }
  | { kind: "number"; raw: string }
  | { kind: "literal"; word: "true" | "false" | "null" }
  | { kind: "array"; items: Value[] }
  | { kind: "object"; members: Member[] };
export type Member = readonly [name: string, value: Value];
export type Body = Extract<Value, { kind: "object" }>;

export interface Decimal {
  negative: boolean;
  /** Without zeros at either end; none for 0. */
  digits: string;
  exponent: number;
}

export function decimal(raw: string): Decimal {
  const parts = /^(-?)(\d+)(?:\.(\d+))?(?:[eE]([-+]?\d+))?$/.exec(raw);
  if (parts === null) throw new Error(`no number: ${raw}`);
  const [, sign = "", whole = "", fraction = "", power = "0"] = parts;
  const all = (whole + fraction).replace(/^0+/, "");
  const digits = all.replace(/0+$/, "");
  if (digits === "") return { negative: false, digits, exponent: 0 };
  return { negative: sign === "-", digits, exponent: Number(power) - fraction.length + all.length - digits.length };
}

const isNull = (value: Value) => value.kind === "literal" && value.word === "null";

/** Members that count: null is one if its name comes twice. */
function counted(body: Body, ignored: readonly string[]): Body {
  const single = (name: string) => body.members.filter(([other]) => other === name).length === 1;
  return {
    kind: "object",
    members: body.members.filter(([name, value]) => !(isNull(value) && single(name)) && !ignored.includes(name)),
  };
}

/** Two bodies are one if and only if this is the same text. */
export function canonical(body: Body, ignored: readonly string[] = []): string {
  return JSON.stringify(plain(counted(body, ignored)));
}

function plain(value: Value): unknown {
  switch (value.kind) {
    case "text":
      return ["text", value.text];
    case "number":
      return ["number", decimal(value.raw)];
    case "literal":
      return [value.word];
    case "array":
      return ["array", value.items.map(plain)];
    case "object": {
      const named = value.members.map(([name, member]) => [name, plain(member)] as const);
      return ["object", named.sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0))];
    }
  }
}

const kinds = { text: 1n, number: 2n, few: 3n, array: 4n, object: 5n, true: 6n, false: 7n, null: 8n, short: 16n };
const token = (kind: bigint, detail: bigint | number): bigint => (kind << 56n) | BigInt(detail);

export function referenceDigest(body: Body, key: Key, ignored: readonly string[] = []) {
  const top = counted(body, ignored);
  let size = 0;
  const finish = (hash: SipModel) => {
    size += hash.bytes;
    return hash.finish();
  };

  const write = (hash: SipModel, value: Value): void => {
    if (value.kind === "text") writeText(hash, value.text);
    else if (value.kind === "number") writeNumber(hash, decimal(value.raw));
    else if (value.kind === "literal") hash.word(token(kinds[value.word], 0));
    else if (value.kind === "array") {
      for (const item of value.items) write(hash, item);
      hash.word(token(kinds.array, value.items.length));
    } else {
      const digests = value.members.map(([name, member], index) => {
        const hashed = new SipModel(key);
        writeText(hashed, name);
        const order = ((hashed.mixed >> 15n) << 15n) | BigInt(index);
        write(hashed, member);
        // At the top, null is not counted as a size.
        const before = size;
        const words = finish(hashed);
        if (value === top && isNull(member)) size = before;
        return { order, words };
      });
      digests.sort((a, b) => (a.order < b.order ? -1 : 1));
      for (const word of digests.flatMap(({ words }) => words)) hash.word(word);
      hash.word(token(kinds.object, value.members.length));
    }
  };

  const root = new SipModel(key);
  write(root, top);
  return { words: finish(root), size };
}

function writeText(hash: SipModel, text: string): void {
  const bytes = utf8(text);
  if (bytes.length < 8) {
    hash.word(token(kinds.short + BigInt(bytes.length), wordOf(bytes)));
    return;
  }
  writeBytes(hash, bytes);
  hash.word(token(kinds.text, bytes.length));
}

function writeNumber(hash: SipModel, { negative, digits, exponent }: Decimal): void {
  const bytes = Buffer.from(digits);
  const sign = negative ? 1n << 55n : 0n;
  if (digits.length <= 6 && exponent >= -64 && exponent < 64) {
    hash.word(token(kinds.few, sign | (BigInt(exponent & 127) << 48n) | wordOf(bytes)));
    return;
  }
  writeBytes(hash, bytes);
  hash.word(token(kinds.number, sign | (BigInt(digits.length) << 32n) | BigInt.asUintN(32, BigInt(exponent))));
}

function writeBytes(hash: SipModel, bytes: Uint8Array): void {
  for (let at = 0; at < bytes.length; at += 8) hash.word(wordOf(bytes.subarray(at, at + 8)));
}

/** UTF-8, with half a surrogate pair as the three bytes it would have. */
function utf8(text: string): Uint8Array {
  return Buffer.concat(
    [...text].map((character) => {
      const point = character.codePointAt(0) ?? 0;
      if (point >> 11 !== 0xd800 >> 11) return Buffer.from(character);
      return Buffer.from([0xe0 | (point >> 12), 0x80 | ((point >> 6) & 63), 0x80 | (point & 63)]);
    }),
  );
}
