import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { folded, orbit, text, toJavaScript, toPattern, tree } from "../../test/lib/pattern-arbitrary.ts";
import { accepted, refused } from "../../test/lib/pattern-cases.ts";
import { compile, matches, matchesEverySplit, put, use, wasm } from "../../test/lib/pattern-driver.ts";

/** Cases by hand, a differential test against RegExp, every text cut everywhere; what texts cost is counted, never timed. */

describe("syntax", () => {
  it.each(accepted)("%j", (pattern, matching, other) => {
    use(pattern);
    for (const text of matching) expect([text, matchesEverySplit(text)]).toEqual([text, true]);
    for (const text of other) expect([text, matchesEverySplit(text)]).toEqual([text, false]);
  });

  it.each(refused)("refuses %j", (pattern, words, at) => {
    const fault = compile(pattern) ?? "accepted";
    expect(fault).toContain(words);
    expect(fault).toMatch(new RegExp(`^pattern .+ at byte ${at}: .{8,}`));
  });

  it("refuses what is not UTF-8", () => {
    expect(compile(Buffer.from("a\xff", "latin1"))).toBe(
      "pattern is not UTF-8 at byte 1: write the byte as an escape such as \\x{e9}",
    );
    expect(compile(Buffer.from("a\xe2\x82", "latin1"))).toContain("at byte 1");
  });

  it("takes what just fits", () => {
    use("a".repeat(512));
    expect(matches("a".repeat(511))).toBe(false);
    expect(matches("a".repeat(512))).toBe(true);
    use(`${"(".repeat(32)}a${")".repeat(32)}`);
    expect(matches("ba")).toBe(true);
    use("(?:a{256}){3}a{232}");
    expect(matches("a".repeat(999))).toBe(false);
    expect(matches("a".repeat(1000))).toBe(true);
    expect(compile("(?:a{256}){3}a{233}")).toContain("more than 1000 states");
    use("^(?:a{0,250}b?|c)*(?:d+|e*)$");
    expect(matches("aaabcde")).toBe(false);
    expect(matches("aaabcee")).toBe(true);
  });

  it("folds the letters that RegExp folds", () => {
    for (const code of folded) {
      const same = orbit(code);
      use(`(?i)\\x{${code.toString(16)}}`);
      for (const other of same)
        expect([code, other, matches(String.fromCodePoint(other))]).toEqual([code, other, true]);
      const rest = folded.filter((other) => !same.includes(other));
      expect([code, matches(String.fromCodePoint(...rest))]).toEqual([code, false]);
    }
  });
});

describe("against RegExp", () => {
  it("any pattern on any texts, cut anywhere", () => {
    fc.assert(
      fc.property(tree, fc.nat(7), fc.array(text, { minLength: 1, maxLength: 8 }), (node, style, texts) => {
        const pattern = toPattern(node, style);
        fc.pre(Buffer.byteLength(pattern) <= 512);
        use(pattern);
        const reference = new RegExp(toJavaScript(node), "u");
        for (const { bytes, javaScript } of texts) {
          expect([javaScript, matchesEverySplit(bytes)]).toEqual([javaScript, reference.test(javaScript)]);
        }
      }),
      { numRuns: 3000 },
    );
  });

  it("words anywhere in long texts", () => {
    const words = [
      "cat",
      "\\bcat\\b",
      "(?:cat|dog)s?",
      "[A-Z]at",
      "(?:^|,)cat",
      "\\Bcat",
      "cat$",
      "中cat",
      "[^ ]cat",
      "c.{1,20}t,",
      "k|cat",
    ];
    const filler = fc.array(
      fc.constantFrom("a", "c", " ", ",", "cat", "dog", "xxxxxxxxxxxxxxxx", "é", "中", "scat", "Cat"),
      {
        maxLength: 30,
      },
    );
    fc.assert(
      fc.property(fc.constantFrom(...words), fc.array(filler, { minLength: 1, maxLength: 4 }), (word, texts) => {
        use(word);
        for (const parts of texts) {
          // Enough beginnings that lead nowhere for the search to give up on them.
          const text = (parts.length % 3 === 0 ? "c,k ".repeat(200) : "") + parts.join("");
          expect([text, matchesEverySplit(text)]).toEqual([text, new RegExp(word, "u").test(text)]);
        }
      }),
      { numRuns: 3000 },
    );
  });

  it("more states than there is room for", () => {
    // The automaton of such a pattern has 2^13 states; the text visits thousands of them.
    const pattern = "[ab]*a[ab]{12}c";
    use(pattern);
    let generator = 1;
    const letters = Array.from({ length: 40_000 }, () => {
      generator = (generator * 1103515245 + 12345) % 2147483648;
      return generator & 0x10000 ? "a" : "b";
    }).join("");
    for (const text of [
      letters,
      `${letters.slice(0, 20_000)}abbbbbbbbbbbbcb`,
      `${letters.slice(0, 20_000)}bbbbbbbbbbbbbc`,
    ]) {
      const expected = /a[ab]{12}c/.test(text);
      for (const step of [0, 1, 7, 4096]) expect(matches(text, step)).toBe(expected);
    }
    expect(wasm.flushes()).toBeGreaterThan(20);
    // Idle states and the initial one are still what they were.
    expect(matches("abbbbbbbbbbbbc")).toBe(true);
    expect(matches("bbbbbbbbbbbbbc")).toBe(false);
  });

  it("notes nothing in the place of a state that was forgotten", () => {
    wasm.openStates(4, 1);
    const first = wasm.stateOf(1);
    expect(wasm.stateOf(1)).toBe(first);
    let last = first;
    for (let member = 2; wasm.stateFlushes() === 0; member++) last = wasm.stateOf(member);
    expect(last).toBe(first);
    wasm.note(first, 2, last, 0);
    expect(wasm.nextOf(first, 2)).toBe(0);
    wasm.note(first, 2, last, 1);
    expect(wasm.nextOf(first, 2)).toBe(last);
    expect([1, 3].map((kind) => wasm.nextOf(first, kind))).toEqual([0, 0]);
  });
});

describe("pieces", () => {
  const feed = (hex: string) => {
    const bytes = Buffer.from(hex, "hex");
    return wasm.feed(put(bytes), bytes.length) !== 0;
  };

  it("is certain of a match as soon as it can be", () => {
    use("aé");
    wasm.reset();
    expect(["61", "c3", "a9", "", "ff"].map(feed)).toEqual([false, false, true, true, true]);
    expect(wasm.finish()).toBe(1);
    use("a\\b");
    wasm.reset();
    expect(["61", "61", "20"].map(feed)).toEqual([false, false, true]);
    use("a$");
    wasm.reset();
    expect([feed("61"), wasm.finish()]).toEqual([false, 1]);
    use("x*");
    wasm.reset();
    expect([feed(""), wasm.finish()]).toEqual([true, 1]);
  });

  it("forgets the text before", () => {
    use("é|^b");
    wasm.reset();
    feed("61c3");
    wasm.reset();
    expect(feed("a9")).toBe(false);
    wasm.reset();
    expect(feed("62")).toBe(true);
    wasm.reset();
    expect(wasm.finish()).toBe(0);
  });

  it("stops looking when there can be no match", () => {
    use("^ab*c");
    expect(matches("x")).toBe(false);
    const before = wasm.work();
    expect(matches("xabc".repeat(1000))).toBe(false);
    expect(wasm.work()).toBe(before);
  });
});

describe("bytes that are no UTF-8", () => {
  const cases: [pattern: string, hex: string, matched: boolean][] = [
    ["(?s).", "80ff", false],
    ["[^a]", "c0af", false],
    ["\\W|\\D|\\S", "eda080", false],
    ["[\\x{80}-\\x{10ffff}]", "e282f09f98f4908080f8888080", false],
    ["a.?b", "61ff62", false],
    ["a\\b", "61ff", true],
    ["a\\b", "61c3", true],
    ["\\bb", "ff62", true],
    ["a\\B", "61ff", false],
    ["\\B", "ff", true],
    ["\\B", "61ff62", false],
    ["\\B", "61e28262", true],
    ["a\\b|b\\B", "62c3", false],
    ["^b", "ff62", false],
    ["b$", "62ff", false],
    ["b$", "62e282", false],
    ["(?m)^b", "0aff62", false],
    ["(?m)^b", "ff0a62", true],
    ["中", "e4b8", false],
    ["中", "e4e4b8ad", true],
    ["é", "c3c3a9", true],
    ["A", "f09f9841", true],
    ["cat", "f09f98636174", true],
    ["x", "c3".repeat(40), false],
    ["^$", "c3", false],
  ];
  it.each(cases)("%j on %s: %s", (pattern, hex, matched) => {
    use(pattern);
    expect(matchesEverySplit(Buffer.from(hex, "hex"))).toBe(matched);
  });

  it("agrees with TextDecoder on what a character is", () => {
    const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
    const isCharacter = (bytes: Buffer) => {
      try {
        return [...decoder.decode(bytes)].length === 1;
      } catch {
        return false;
      }
    };
    const bytes = Buffer.from("00417f808f909fa0bfc0c1c2dfe0e1ecedeeeff0f1f3f4f5ff", "hex");
    use("^(?s:.)$");
    const extend = (start: number[], length: number) => {
      for (const byte of bytes) {
        const text = Buffer.from([...start, byte]);
        if (matches(text) !== isCharacter(text) || matches(text, 1) !== isCharacter(text))
          throw new Error(text.toString("hex"));
        if (length > 1) extend([...text], length - 1);
      }
    };
    extend([], 3);
    for (const start of [0xf0, 0xf1, 0xf4]) {
      for (const second of [0x80, 0x8f, 0x90, 0xbf])
        for (const third of [0x7f, 0x80, 0xbf, 0xc2]) extend([start, second, third], 1);
    }
  });
});

describe("cost", () => {
  const some = (n: number, letters: string) => {
    let generator = 7;
    return Array.from({ length: n }, () => {
      generator = (generator * 1103515245 + 12345) % 2147483648;
      return letters[(generator >>> 16) % letters.length];
    }).join("");
  };
  const cases: [pattern: string, letters: string][] = [
    ["(a*)*b", "a"],
    ["(a|a)*b", "a"],
    ["(a|aa)+$", "aac"],
    ["(?:a{0,15}){0,15}b", "ac"],
    ["(?:a?){200}a{200}b", "a"],
    ["x*x*x*x*x*x*x*x*x*x*y", "x"],
    ["(.*)(.*)(.*)(.*)(.*)[^a]=", "a"],
    ["^(([a-z])+.)+[A-Z]([a-z])+$", "a"],
    ["(?:\\ba?|\\Ba?)*z", "ab "],
    ["[ab].{200}z", "ac"],
    ["(?i)translate.{0,200}german", "translate "],
    ["(?:[ab].{150}){2}z|[bc].{256}z", "abc"],
  ];
  it.each(cases)("is linear in the text: %s", (pattern, letters) => {
    const work = (n: number) => {
      use(pattern);
      const text = Buffer.from(some(n, letters));
      const before = wasm.work();
      matches(text);
      return wasm.work() - before;
    };
    const once = work(20_000);
    expect(work(40_000)).toBeLessThan(2.1 * once + 10_000);
    // Each step looks at an instruction a few times at most.
    expect(once).toBeLessThan(20_000 * 3 * 1000);
  });

  it("is a few states for prose", () => {
    use("(?i)\\b(refactor|debug|compile|function|javascript)\\b");
    const prose = "Please refactored code, then compiled it: JavaScripts functions; do not debugging. ".repeat(5000);
    expect(matches(prose)).toBe(false);
    expect(wasm.built()).toBeLessThan(64);
    expect(wasm.work()).toBeLessThan(20_000);
  });

  it("keeps memory flat, also while states are forgotten", () => {
    use("[ab]*a[ab]{12}c");
    const bytes = Buffer.from(some(1 << 18, "ab"));
    const at = put(bytes);
    const before = wasm.memory.buffer.byteLength;
    wasm.reset();
    for (let i = 0; i < 16; i++) expect(wasm.feed(at, bytes.length)).toBe(0);
    expect(wasm.flushes()).toBeGreaterThan(100);
    expect(wasm.memory.buffer.byteLength).toBe(before);
  });

  const sizes: [pattern: string, bytes: number][] = [
    ["refactoring", 5_000],
    ["(?i)\\b(refactor|debug|compile|function|javascript)\\b", 10_000],
    ["(?i)translate.{0,200}german", 33_000],
    [".{256}.{256}.{256}.{232}", 70_000],
    [String.fromCodePoint(...Array.from({ length: 170 }, (_, i) => 0x4e00 + 2 * i)), 75_000],
    [`(?i)${String.fromCodePoint(...Array.from({ length: 250 }, (_, i) => 0x100 + i))}`, 75_000],
    [`(?i)[${String.fromCodePoint(...Array.from({ length: 120 }, (_, i) => 0x400 + 2 * i))}]`, 10_000],
  ];
  it.each(sizes)("%s takes up to %d bytes", (pattern, bytes) => {
    use(pattern);
    expect(wasm.bytes()).toBeLessThan(bytes);
    expect(matches("x".repeat(999))).toBe(false);
  });
});
