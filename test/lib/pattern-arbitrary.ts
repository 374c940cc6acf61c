import fc from "fast-check";

/**
 * Generated patterns and texts, each written twice: for filters/lib/pattern, and for JavaScript with the flag `u` alone. What the two understand differently is spelled out for
 * JavaScript: `.` and lines (only a line feed ends one), `\s`, case (classes of all forms of a letter), and bytes that are no UTF-8 (one character that no class may match).
 * Nothing there is above U+FFFF, because V8 finds `\B` inside a surrogate pair.
 */

type Member = { readonly low: number; readonly high: number } | string;

export type Node =
  | { readonly kind: "character"; readonly code: number }
  | { readonly kind: "any" }
  | { readonly kind: "class"; readonly negated: boolean; readonly members: readonly Member[] }
  | { readonly kind: "assertion"; readonly token: string }
  | { readonly kind: "sequence" | "choice"; readonly nodes: readonly Node[] }
  | { readonly kind: "repeat"; readonly node: Node; readonly count: readonly [number, number]; readonly lazy: boolean }
  | { readonly kind: "group"; readonly flags: string; readonly node: Node };

/** Stands for a byte that is no UTF-8 in JavaScript's text. */
const BROKEN = "\ue000";
/** Stands for the one character above U+FFFF. */
const EMOJI = "😀";
const EMOJI_STAND_IN = "\ue001";
const shorthands: Record<string, string> = { d: "0-9", w: "0-9A-Z_a-z", s: "\\t\\n\\f\\r " };

/** Characters that (?i) treats as one letter, according to JavaScript. */
export const folded: readonly number[] = [
  ...Array.from({ length: 0x180 }, (_, i) => i),
  ...Array.from({ length: 0x3cf - 0x386 }, (_, i) => i + 0x386),
  ...Array.from({ length: 0x130 }, (_, i) => i + 0x400),
  0x1e9e,
  0x2126,
  0x212a,
  0x212b,
];
const orbits = new Map<number, number[]>();

export function orbit(code: number): number[] {
  const known = orbits.get(code);
  if (known !== undefined) return known;
  const letter = new RegExp(`^${unit(code)}$`, "iu");
  const found = [...new Set([code, ...folded.filter((other) => letter.test(String.fromCodePoint(other)))])];
  orbits.set(code, found);
  return found;
}

const unit = (code: number) => `\\u{${(code > 0xffff ? EMOJI_STAND_IN.charCodeAt(0) : code).toString(16)}}`;

/** In JavaScript; `flags`: those that are on. */
export function toJavaScript(node: Node, flags = ""): string {
  const inside = (child: Node) => `(?:${toJavaScript(child, flags)})`;
  switch (node.kind) {
    case "character":
      return `[${(flags.includes("i") ? orbit(node.code) : [node.code]).map(unit).join("")}]`;
    case "any":
      return flags.includes("s") ? `[^${BROKEN}]` : `[^\\n${BROKEN}]`;
    case "class":
      return classOf(node.negated, node.members, flags.includes("i"));
    case "assertion":
      if (node.token === "^" || node.token === "\\A")
        return flags.includes("m") && node.token === "^" ? "(?<![^\\n])" : "^";
      if (node.token === "$" || node.token === "\\z")
        return flags.includes("m") && node.token === "$" ? "(?![^\\n])" : "$";
      return node.token;
    case "sequence":
      return node.nodes.map(inside).join("");
    case "choice":
      return node.nodes.map(inside).join("|");
    case "repeat":
      return `${inside(node.node)}{${node.count[0]},${node.count[1] < 0 ? "" : node.count[1]}}`;
    case "group": {
      const [on = "", off = ""] = node.flags.split("-");
      return `(?:${toJavaScript(node.node, [...flags, ...on].filter((flag) => !off.includes(flag)).join(""))})`;
    }
  }
}

/** Ranges are written out character by character, so that each can have its other forms. */
function classOf(negated: boolean, members: readonly Member[], ignoreCase: boolean): string {
  const positive: string[] = [];
  for (const member of members) {
    if (typeof member === "string") {
      const inner = shorthands[member.toLowerCase()] ?? "";
      positive.push(member === member.toLowerCase() ? `[${inner}]` : `[^${inner}${BROKEN}]`);
      continue;
    }
    const codes = Array.from({ length: member.high - member.low + 1 }, (_, i) => member.low + i);
    positive.push(`[${(ignoreCase ? codes.flatMap(orbit) : codes).map(unit).join("")}]`);
  }
  return negated ? `(?:(?!${positive.join("|")})[^${BROKEN}])` : `(?:${positive.join("|")})`;
}

const literal = (code: number) => {
  const text = String.fromCodePoint(code);
  return /[\\^$.*+?()[\]{}|\n-]/.test(text) ? `\\${text === "\n" ? "n" : text}` : text;
};

/** In the syntax of filters/lib/pattern. `style` decides between spellings of the same. */
export function toPattern(node: Node, style = 0): string {
  switch (node.kind) {
    case "character":
      return style % 3 === 1 ? `\\x{${node.code.toString(16)}}` : literal(node.code);
    case "any":
      return ".";
    case "class": {
      const [only] = node.members;
      if (style % 2 === 1 && node.members.length === 1 && !node.negated && typeof only === "string") return `\\${only}`;
      const members = node.members.map((member) =>
        typeof member === "string"
          ? `\\${member}`
          : member.low === member.high
            ? literal(member.low)
            : `${literal(member.low)}-${literal(member.high)}`,
      );
      return `[${node.negated ? "^" : ""}${members.join("")}]`;
    }
    case "assertion":
      return node.token;
    case "sequence":
      return node.nodes
        .map((child) => (child.kind === "choice" ? `(${toPattern(child, style)})` : toPattern(child, style)))
        .join("");
    case "choice":
      return node.nodes.map((child) => toPattern(child, style)).join("|");
    case "repeat": {
      const inner = toPattern(node.node, style);
      const alone = node.node.kind === "character" || node.node.kind === "any" || node.node.kind === "class";
      return `${alone ? inner : style % 2 === 1 ? `(${inner})` : `(?:${inner})`}${quantifier(node.count, style)}${node.lazy ? "?" : ""}`;
    }
    case "group":
      return style % 2 === 1 && node.flags !== ""
        ? `(?:(?${node.flags})${toPattern(node.node, style)})`
        : `(?${node.flags}:${toPattern(node.node, style)})`;
  }
}

function quantifier([least, most]: readonly [number, number], style: number): string {
  if (style < 4 && most < 0 && least < 2) return least === 0 ? "*" : "+";
  if (style < 4 && least === 0 && most === 1) return "?";
  if (least === most) return `{${least}}`;
  return `{${least},${most < 0 ? "" : most}}`;
}

const alphabet = [..."aaabbbcABksSKſéÉяЯßẞσςΣ中😀\n\n01_ -.]"].map((character) => character.codePointAt(0) ?? 0);
const code = fc.constantFrom(...alphabet);
const member = fc.oneof(
  { weight: 3, arbitrary: code.map((low): Member => ({ low, high: low })) },
  {
    weight: 2,
    arbitrary: fc
      .tuple(fc.constantFrom(...[..."aA0kéя"].map((c) => c.codePointAt(0) ?? 0)), fc.nat(20))
      .map(([low, more]): Member => ({ low, high: low + more })),
  },
  { weight: 1, arbitrary: fc.constantFrom<Member>("d", "w", "s", "D", "W", "S") },
);
const leaf: fc.Arbitrary<Node> = fc.oneof(
  { weight: 8, arbitrary: code.map((value): Node => ({ kind: "character", code: value })) },
  { weight: 2, arbitrary: fc.constant<Node>({ kind: "any" }) },
  {
    weight: 3,
    arbitrary: fc
      .tuple(fc.boolean(), fc.array(member, { minLength: 1, maxLength: 3 }))
      .map(([negated, members]): Node => ({ kind: "class", negated, members })),
  },
  {
    weight: 3,
    arbitrary: fc
      .constantFrom("^", "$", "\\b", "\\B", "\\b", "\\A", "\\z")
      .map((token): Node => ({ kind: "assertion", token })),
  },
);
const counts: readonly (readonly [number, number])[] = [
  [0, -1],
  [1, -1],
  [0, 1],
  [2, 2],
  [1, 3],
  [2, -1],
  [0, 2],
  [0, 0],
  [3, 4],
];
const flags = fc.constantFrom("", "i", "s", "m", "ims", "-i", "m-i", "s-m");

const inner: fc.Arbitrary<Node> = fc.letrec<{ node: Node }>((tie) => ({
  node: fc.oneof(
    { maxDepth: 4, withCrossShrink: true },
    { weight: 3, arbitrary: leaf },
    {
      weight: 4,
      arbitrary: fc
        .array(tie("node"), { minLength: 1, maxLength: 4 })
        .map((nodes): Node => ({ kind: "sequence", nodes })),
    },
    {
      weight: 2,
      arbitrary: fc
        .array(tie("node"), { minLength: 2, maxLength: 3 })
        .map((nodes): Node => ({ kind: "choice", nodes })),
    },
    {
      weight: 2,
      arbitrary: fc
        .tuple(tie("node"), fc.constantFrom(...counts), fc.boolean())
        .map(([node, count, lazy]): Node => ({ kind: "repeat", node, count, lazy })),
    },
    {
      weight: 1,
      arbitrary: fc.tuple(flags, tie("node")).map(([set, node]): Node => ({ kind: "group", flags: set, node })),
    },
  ),
})).node;

const childrenOf = (node: Node): readonly Node[] =>
  node.kind === "repeat" || node.kind === "group" ? [node.node] : "nodes" in node ? node.nodes : [];

/** Repetitions inside each other, and all of them. */
function repetitions(node: Node): { depth: number; count: number } {
  const inside = childrenOf(node).map(repetitions);
  const own = node.kind === "repeat" ? 1 : 0;
  return {
    depth: own + Math.max(0, ...inside.map(({ depth }) => depth)),
    count: own + inside.reduce((sum, { count }) => sum + count, 0),
  };
}

/** Trees for a matcher that tries one way after the other: with more repetitions, it tries for minutes. */
export const tree: fc.Arbitrary<Node> = fc
  .oneof(
    inner,
    fc
      .tuple(fc.constantFrom("m", "m", "i", "ims"), fc.array(inner, { minLength: 2, maxLength: 3 }))
      .map(([set, nodes]): Node => ({ kind: "group", flags: set, node: { kind: "sequence", nodes } })),
  )
  .filter((node) => repetitions(node).depth <= 2 && repetitions(node).count <= 6);

/** Beginnings of characters, overlong forms, surrogates: none runs into what follows. */
const brokenUnits = ["ff", "c3", "e282", "f09f98", "eda080", "c0af", "f4908080", "e09f"];

export interface Text {
  readonly bytes: Buffer;
  readonly javaScript: string;
}

export const text: fc.Arbitrary<Text> = fc
  .array(
    fc.oneof(
      { weight: 9, arbitrary: code.map((value) => String.fromCodePoint(value)) },
      { weight: 1, arbitrary: fc.constantFrom(...brokenUnits).map((hex) => Buffer.from(hex, "hex")) },
    ),
    { maxLength: 10 },
  )
  .map((units) => ({
    bytes: Buffer.concat(units.map((value) => Buffer.from(value))),
    javaScript: units
      .map((value) => (typeof value === "string" ? value : BROKEN.repeat(value.length)))
      .join("")
      .replaceAll(EMOJI, EMOJI_STAND_IN),
  }));
