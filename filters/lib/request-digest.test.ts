import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { body, Choice, spell } from "../../test/lib/request-digest-arbitrary.ts";
import {
  digest,
  digestPieces,
  digestSteps,
  hex,
  ignore,
  TEST_KEY,
  wasm,
} from "../../test/lib/request-digest-driver.ts";
import { type Body, canonical, referenceDigest, type Value } from "../../test/lib/request-digest-reference.ts";

/** Which bodies share a key and which do not: by examples, against a model, in every spelling, cut anywhere, and when they are no JSON at all. */

const ignored = ["user", "metadata", "emoji 😀", "", "n".repeat(wasm.maxIgnoredName())];
const accepted = ignore(...ignored);

const keyOf = (json: string) => {
  const { status, key } = digest(json);
  expect({ json, status }).toEqual({ json, status: "complete" });
  return key;
};

describe("one key", () => {
  const same: [title: string, one: string, other: string][] = [
    ["white space", '{"a":[1,{"b":2}]}', ' {\r\n\t"a" : [ 1 , { "b" : 2 } ] } '],
    ["order of members", '{"a":1,"b":2,"c":3}', '{"c":3,"a":1,"b":2}'],
    ["order further down", '{"a":[{"b":1,"c":{"d":1,"e":2}}]}', '{"a":[{"c":{"e":2,"d":1},"b":1}]}'],
    ["escaped letters", '{"a":"A/é€😀\\n"}', '{"\\u0061":"\\u0041\\/\\u00E9\\u20ac\\uD83D\\ude00\\u000a"}'],
    ["short escapes", '{"a":"\\b\\f\\n\\r\\t\\"\\\\"}', '{"a":"\\u0008\\u000c\\u000A\\u000d\\u0009\\u0022\\u005c"}'],
    ["a fraction of zeros", '{"a":1}', '{"a":1.000}'],
    ["exponents", '{"a":10,"b":0.015}', '{"a":100e-1,"b":1.5E-02}'],
    ["plus and zeros of an exponent", '{"a":1e5}', '{"a":100000e+000}'],
    ["no sign of zero", '{"a":0,"b":0}', '{"a":-0,"b":-0.00e9}'],
    ["20 digits", '{"a":12345678901234567890}', '{"a":1234567890123456789.0e1}'],
    ["null at the top", '{"a":1}', '{"stop":null,"a":1,"n":null}'],
    ["nothing at all", "{}", '{"a":null}'],
  ];
  it.each(same)("%s", (_, one, other) => {
    expect(digest(other)).toEqual(digest(one));
    expect(digest(one).status).toBe("complete");
  });
});

describe("another key", () => {
  const different: [title: string, one: string, other: string][] = [
    ["order of elements", '{"a":[1,2]}', '{"a":[2,1]}'],
    ["a number and its text", '{"a":1}', '{"a":"1"}'],
    ["a literal and its text", '{"a":true}', '{"a":"true"}'],
    ["true and false", '{"a":true}', '{"a":false}'],
    ["nothing and an empty text", "{}", '{"a":""}'],
    ["an empty list and an empty object", '{"a":[]}', '{"a":{}}'],
    ["null further down", '{"a":{"b":null}}', '{"a":{}}'],
    ["null in a list", '{"a":[null]}', '{"a":[]}'],
    ["an object around", '{"a":{"b":1}}', '{"b":1}'],
    ["a list around", '{"a":[[1]]}', '{"a":[1]}'],
    ["where a list ends", '{"a":[[1],2]}', '{"a":[[1,2]]}'],
    ["where an object ends", '{"a":{"b":1,"c":2}}', '{"a":{"b":1},"c":2}'],
    ["name and value swapped", '{"a":"b"}', '{"b":"a"}'],
    ["values swapped", '{"a":1,"b":2}', '{"a":2,"b":1}'],
    ["the same members in two objects", '{"x":[{"a":1},{"b":2}]}', '{"x":[{"b":2},{"a":1}]}'],
    ["20 digits that one double has", '{"a":12345678901234567890}', '{"a":12345678901234567891}'],
    ["a digit behind seventeen", '{"a":0.10000000000000000}', '{"a":0.100000000000000001}'],
    ["sign", '{"a":1}', '{"a":-1}'],
    ["exponent", '{"a":1e5}', '{"a":1e-5}'],
    ["exponents a whole word apart", '{"a":1e128}', '{"a":1}'],
    ["digits of many", '{"a":1234567}', '{"a":12345670}'],
    ["sign of many digits", '{"a":12345678}', '{"a":-12345678}'],
    ["a name that comes twice", '{"a":1}', '{"a":1,"a":1}'],
    ["the order of a name that comes twice", '{"a":1,"a":2}', '{"a":2,"a":1}'],
    ["the same further down", '{"x":{"a":1,"b":0,"a":2}}', '{"x":{"a":2,"b":0,"a":1}}'],
    ["a name that comes twice, null at the end", '{"a":1}', '{"a":1,"a":null}'],
    ["the same, null first", '{"a":1,"a":null}', '{"a":null,"a":1}'],
    ["the same beside other names", '{"a":1,"a":null,"b":2}', '{"a":1,"b":null,"b":2}'],
    ["null twice", '{"a":1}', '{"a":1,"b":null,"b":null}'],
    ["a zero byte", '{"a":"x"}', '{"a":"x\\u0000"}'],
    ["zero bytes alone", '{"a":""}', '{"a":"\\u0000"}'],
    ["zero bytes in a whole word", '{"a":"1234567"}', '{"a":"1234567\\u0000"}'],
    ["zero bytes up to a word", '{"a":"123456789"}', '{"a":"123456789\\u0000"}'],
    ["letters", '{"a":"A"}', '{"a":"a"}'],
    ["forms of one character", '{"a":"é"}', '{"a":"e\\u0301"}'],
    ["half a pair and U+FFFD", '{"a":"\\ud83d"}', '{"a":"\\ufffd"}'],
    ["two halves", '{"a":"\\ud83d"}', '{"a":"\\ud83e"}'],
    ["halves in the wrong order", '{"a":"\\ude00\\ud83d"}', '{"a":"\\ud83d\\ude00"}'],
    [
      "a text that ends like another",
      '{"a":["ABCDEFGH","IJKLMNOP"]}',
      '{"a":["ABCDEFGH\\b\\u0000\\u0000\\u0000\\u0000\\u0000\\u0000\\u0001IJKLMNOP"]}',
    ],
    [
      "a text with an array in it",
      '{"a":["",""]}',
      '{"a":["\\u0000\\u0000\\u0000\\u0000\\u0000\\u0000\\u0000\\u0010",""]}',
    ],
  ];
  it.each(different)("%s", (_, one, other) => {
    expect(keyOf(other)).not.toBe(keyOf(one));
  });

  it("with another key of the hash", () => {
    const before = keyOf('{"a":1}');
    for (const [k0, k1] of [
      [1n, 0n],
      [0n, 1n],
      [0n, 0n],
    ] as const) {
      wasm.setKey(k0, k1);
      expect(keyOf('{"a":1}')).not.toBe(before);
    }
    wasm.setKey(...TEST_KEY);
    expect(keyOf('{"a":1}')).toBe(before);
  });
});

describe("members that do not count", () => {
  const keys = (json: string) => digest(json, 1);

  it("wherever they stand, whatever they are, however their names are spelled", () => {
    const plain = keys('{"model":"m","n":1}');
    expect(plain.key).toBe(keyOf('{"model":"m","n":1}'));
    for (const json of [
      '{"user":"u","model":"m","n":1}',
      '{"model":"m","\\u0075ser":{"a":[{"b":[1,null]}]},"n":1}',
      '{"model":"m","n":1,"metadata":[[[]]],"user":1,"user":"again"}',
      '{"emoji \\ud83d\\ude00":{"user":1,"model":2},"":{},"model":"m","n":1}',
      `{"model":"m","${ignored[4]}":1,"n":1}`,
    ]) {
      expect(keys(json)).toEqual(plain);
      expect(digest(json).key).not.toBe(plain.key);
      for (const step of [1, 3]) expect(digestSteps(json, step, 1)).toEqual(plain);
    }
  });

  it("further down they do, and so do longer, shorter and other names", () => {
    for (const name of [
      "use",
      "userx",
      "User",
      "usex",
      "metadat",
      "emoji 😀 ",
      `${ignored[4]}n`,
      `${ignored[4]?.slice(1)}`,
    ]) {
      expect(keys(`{"a":1,"${name}":1}`).key).not.toBe(keys('{"a":1}').key);
    }
    expect(keys('{"a":{"user":1}}').key).not.toBe(keys('{"a":{"user":2}}').key);
    expect(keys('{"a":[{"user":1}]}').key).not.toBe(keys('{"a":[{}]}').key);
    // A name as long as the buffer, whose end looks like an ignored one.
    for (const length of [1020, 1024, 1028, 2048]) {
      expect(keys(`{"a":1,"${"x".repeat(length)}user":1}`).key).not.toBe(keys('{"a":1}').key);
    }
  });

  it("what is in them must be JSON all the same", () => {
    for (const json of ['{"user":01}', '{"user":{"a"}}', '{"user":"\\x"}', '{"user":nul}']) {
      expect(keys(json).status).toBe("invalid");
    }
  });

  it("takes names of up to 255 bytes", () => {
    expect(accepted).toEqual(ignored.map(() => true));
    expect(ignore("n".repeat(wasm.maxIgnoredName() + 1))).toEqual([false]);
  });
});

describe("against the model", () => {
  const seed = fc.nat(2 ** 31);

  it("every spelling of a body has the key of the model, in pieces of 1, 2 and 7 bytes too", () => {
    fc.assert(
      fc.property(body, seed, (value, random) => {
        const expected = referenceDigest(value, TEST_KEY);
        const spelling = spell(value, new Choice(random));
        const found = digest(spelling);
        expect(found).toEqual({ status: "complete", key: hex(expected.words), size: expected.size, refused: false });
        for (const step of [1, 2, 7]) expect(digestSteps(spelling, step)).toEqual(found);
        const without = referenceDigest(value, TEST_KEY, ignored);
        expect(digest(spelling, 1)).toMatchObject({ key: hex(without.words), size: without.size });
      }),
      { numRuns: 150 },
    );
  });

  it("two bodies that differ little have one key if they are one body", () => {
    fc.assert(
      fc.property(body, seed, (value, random) => {
        const choice = new Choice(random);
        const other = changed(value, choice) as Body;
        const same = canonical(value) === canonical(other);
        expect(keyOf(spell(value, choice)) === keyOf(spell(other, choice))).toBe(same);
      }),
      { numRuns: 1200 },
    );
  });
});

/** The tree with one thing changed, perhaps to what it means anyway. */
function changed(value: Value, choice: Choice): Value {
  if (value.kind === "array" && value.items.length > 0 && choice.below(4) > 0) {
    const at = choice.below(value.items.length);
    const items = value.items.map((item, index) => (index === at ? changed(item, choice) : item));
    return { kind: "array", items: choice.below(4) === 0 ? items.reverse() : items };
  }
  if (value.kind === "object") {
    const members = [...value.members];
    const at = choice.below(members.length + 1);
    const [name, member] = members[at] ?? ["new", { kind: "text", text: "" }];
    const how = choice.below(6);
    if (how === 0) members.splice(at, 1);
    else if (how === 1) members.splice(at, 0, [name, member]);
    else if (how === 2) members.reverse();
    else if (how === 3) members.splice(at, 1, [`${name}x`, member]);
    else members.splice(at, 1, [name, changed(member, choice)]);
    return { kind: "object", members };
  }
  return choice.of<Value>(
    value,
    { kind: "literal", word: "null" },
    { kind: "array", items: [value] },
    { kind: "object", members: [] },
    { kind: "text", text: value.kind === "number" ? value.raw : value.kind === "text" ? `${value.text}\0` : "" },
    { kind: "number", raw: value.kind === "number" ? `${value.raw.replace(/e.*/, "")}e1` : "0" },
  );
}

it("is cut anywhere", () => {
  const json =
    '{"model":"m\\u00e9","messages":[{"role":"user","content":"a\\ud83d\\ude00\\n\\ud83dx\\\\"},[],{}],"n":-1.50e+2,"x":null,"t":[true,false,12]} ';
  const bytes = Buffer.from(json);
  const whole = digest(json);
  expect(whole.status).toBe("complete");
  for (let first = 0; first <= bytes.length; first++) {
    for (let second = first; second <= bytes.length; second++) {
      const pieces = [bytes.subarray(0, first), bytes.subarray(first, second), bytes.subarray(second)];
      expect(digestPieces(pieces)).toEqual(whole);
    }
    const begun = digest(bytes.subarray(0, first));
    expect(begun.status).toBe(first < bytes.length - 1 ? "need-more" : "complete");
  }
});

describe("texts of every length around those that are hashed together", () => {
  const escaped = (text: string) => text.replace(/./gs, (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, "0")}`);

  it("plain, with an escape at the end, and all in escapes", () => {
    for (let length = 0; length < 2300; length += length < 80 || (length > 1000 && length < 1100) ? 1 : 17) {
      const text = "abcdefghijk".repeat(210).slice(0, length);
      const all = digest(`{"a":"${escaped(text)}é"}`);
      expect(all.status).toBe("complete");
      for (const spelling of [
        `${text}é`,
        `${text}\\u00e9`,
        `${escaped(text.slice(0, length >> 1))}${text.slice(length >> 1)}é`,
      ]) {
        expect(digest(`{"a":"${spelling}"}`)).toEqual(all);
        expect(digestSteps(`{"a":"${spelling}"}`, 113)).toEqual(all);
      }
    }
  });

  it("a quote, backslash, control character or other letter at every place is seen", () => {
    const keys = new Set<string>();
    for (let at = 0; at < 400; at++) {
      const around = (middle: string) => `{"a":"${"x".repeat(at)}${middle}${"x".repeat(400 - at)}"}`;
      keys.add(keyOf(around("y")));
      keys.add(keyOf(around("\\n")));
      keys.add(keyOf(`{"a":"${"x".repeat(at)}","b":"${"x".repeat(400 - at)}"}`));
      for (const wrong of ["\n", "\0", "\x1f", '"', "\\x", "\\u12g4"])
        expect(digest(around(wrong)).status).toBe("invalid");
    }
    expect(keys.size).toBe(1200);
  });
});
