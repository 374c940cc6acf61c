import fc from "fast-check";
import { type Body, decimal, type Member, type Value } from "./request-digest-reference.ts";

/** Generated bodies, as trees, and their many spellings. */

const unit = fc.oneof(
  fc.constantFrom(...'ab"\\/\n\t\b\f\r\u0000\u001f\u007fé€😀'.split(""), "\ud83d", "\ude00", "😀"),
  fc.string({ unit: "binary", minLength: 1, maxLength: 1 }),
);
export const text = fc.oneof(
  { weight: 4, arbitrary: fc.array(unit, { maxLength: 20 }).map((units) => units.join("")) },
  { weight: 4, arbitrary: fc.constantFrom("", "a", "1", "null", "user", "content", "messages", "abcdefg", "abcdefgh") },
  // Around the sizes at which bytes are hashed.
  {
    weight: 1,
    arbitrary: fc
      .tuple(fc.constantFrom("x", "xyz", "x\n", "é", "😀", "x".repeat(40)), fc.nat(1100))
      .map(([piece, length]) => piece.repeat(length / piece.length)),
  },
);

const digits = fc
  .array(fc.constantFrom(..."0001234567899"), { minLength: 1, maxLength: 24 })
  .map((all) => all.join("").replace(/^0+(?=\d)/, ""));
const number = fc
  .tuple(
    fc.boolean(),
    digits,
    fc.option(fc.array(fc.constantFrom(..."0001"), { minLength: 1, maxLength: 9 }).map((all) => all.join(""))),
    fc.option(fc.oneof(fc.integer({ min: -9, max: 9 }), fc.integer({ min: -90_000, max: 90_000 }))),
  )
  .map(
    ([negative, whole, fraction, power]) =>
      `${negative ? "-" : ""}${whole}${fraction === null ? "" : `.${fraction}`}${power === null ? "" : `e${power}`}`,
  );

export const value: fc.Arbitrary<Value> = fc.letrec<{ value: Value; body: Body }>((tie) => ({
  value: fc.oneof(
    { maxDepth: 4, withCrossShrink: true },
    text.map((word): Value => ({ kind: "text", text: word })),
    number.map((raw): Value => ({ kind: "number", raw })),
    fc.constantFrom("true", "false", "null").map((word): Value => ({ kind: "literal", word: word as "null" })),
    fc.array(tie("value"), { maxLength: 4 }).map((items): Value => ({ kind: "array", items })),
    tie("body"),
  ),
  body: fc.array(fc.tuple(text, tie("value")), { maxLength: 5 }).map((members): Body => ({ kind: "object", members })),
})).value;

export const body: fc.Arbitrary<Body> = fc
  .array(fc.tuple(text, value), { maxLength: 6 })
  .map((members): Body => ({ kind: "object", members }));

/** Random choices that depend on the seed alone. */
export class Choice {
  constructor(private seed: number) {}

  below(limit: number): number {
    this.seed = (Math.imul(this.seed, 1664525) + 1013904223) >>> 0;
    return Math.floor((this.seed / 2 ** 32) * limit);
  }

  of<T>(...all: [T, ...T[]]): T {
    return all[this.below(all.length)] ?? all[0];
  }
}

/** JSON of the body: order of members, white space, escapes and numbers as it pleases `choice`, and null where there is nothing. */
export function spell(body: Body, choice: Choice): string {
  const members = [...body.members];
  const names = new Set(members.map(([name]) => name));
  for (let i = choice.below(3); i > 0; i--) {
    const name = choice.of("stop", "seed", "logit_bias", "nothing here");
    if (names.has(name)) continue;
    names.add(name);
    members.splice(choice.below(members.length + 1), 0, [name, { kind: "literal", word: "null" }]);
  }
  return space(choice) + spellValue({ kind: "object", members }, choice) + space(choice);
}

function space(choice: Choice): string {
  return choice.of("", "", " ", "\n\t", "\r\n    ");
}

function spellValue(value: Value, choice: Choice): string {
  switch (value.kind) {
    case "text":
      return spellText(value.text, choice);
    case "number":
      return spellNumber(value.raw, choice);
    case "literal":
      return value.word;
    case "array":
      return list(
        "[]",
        value.items.map((item) => spellValue(item, choice)),
        choice,
      );
    case "object": {
      const members = shuffled(value.members, choice).map(
        ([name, member]) => `${spellText(name, choice)}${space(choice)}:${space(choice)}${spellValue(member, choice)}`,
      );
      return list("{}", members, choice);
    }
  }
}

function list(brackets: string, items: string[], choice: Choice): string {
  const spaced = items.map((item) => space(choice) + item + space(choice));
  return `${brackets[0]}${spaced.length > 0 ? spaced.join(",") : space(choice)}${brackets[1]}`;
}

/** Another order; members of one name keep theirs. */
function shuffled(members: readonly Member[], choice: Choice): Member[] {
  const order = [...members];
  for (let i = order.length - 1; i > 0; i--) {
    const other = choice.below(i + 1);
    const [a, b] = [order[i], order[other]];
    if (a !== undefined && b !== undefined) [order[i], order[other]] = [b, a];
  }
  const queues = new Map<string, Member[]>();
  for (const member of members) queues.set(member[0], [...(queues.get(member[0]) ?? []), member]);
  return order.map(([name, first]) => queues.get(name)?.shift() ?? [name, first]);
}

const short: Record<string, string> = {
  '"': '\\"',
  "\\": "\\\\",
  "/": "\\/",
  "\b": "\\b",
  "\f": "\\f",
  "\n": "\\n",
  "\r": "\\r",
  "\t": "\\t",
};

function spellText(text: string, choice: Choice): string {
  /** How much of this text is escaped. */
  const ascii = choice.of(0, 0, 1, 2);
  const characters = [...text].map((character) => {
    const point = character.codePointAt(0) ?? 0;
    const must = point < 0x20 || character === '"' || character === "\\" || point >> 11 === 0xd800 >> 11;
    if (!must && ascii < 2 && (ascii === 0 || choice.below(2) === 0)) return character;
    const letter = short[character];
    if (letter !== undefined && choice.below(3) > 0) return letter;
    return [...character.split("")].map((half) => unicodeEscape(half, choice)).join("");
  });
  return `"${characters.join("")}"`;
}

function unicodeEscape(half: string, choice: Choice): string {
  const digits = half.charCodeAt(0).toString(16).padStart(4, "0");
  return `\\u${choice.below(2) === 0 ? digits : digits.toUpperCase()}`;
}

function spellNumber(raw: string, choice: Choice): string {
  const { negative, digits, exponent } = decimal(raw);
  if (digits === "") return choice.of("0", "-0", "0.00", "0e7", "-0.0E-12");
  if (choice.below(3) === 0) return raw;
  const padded = digits + "0".repeat(choice.below(4));
  const last = exponent - (padded.length - digits.length);
  const fraction = choice.below(padded.length + 3);
  const filled = padded.padStart(fraction + 1, "0");
  const whole = filled.slice(0, filled.length - fraction);
  const power = last + fraction;
  const written = fraction === 0 ? whole : `${whole}.${filled.slice(-fraction)}`;
  const sign = negative ? "-" : "";
  if (power === 0 && choice.below(2) === 0) return sign + written;
  const zeros = "0".repeat(choice.below(3));
  return `${sign}${written}${choice.of("e", "E")}${power < 0 ? "-" : choice.of("", "+")}${zeros}${Math.abs(power)}`;
}
