import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { body, Choice, spell } from "../../test/lib/request-digest-arbitrary.ts";
import { digest, digestSteps, put, wasm } from "../../test/lib/request-digest-driver.ts";

/** What has no key: what is no JSON, and what is too much. And that memory stays what it was. */

describe("no JSON", () => {
  it.each([
    "",
    " ",
    "[]",
    "1",
    '"a"',
    "null",
    "{",
    "}",
    "{]",
    '{"a"}',
    '{"a":}',
    '{"a":1,}',
    '{,"a":1}',
    '{"a":1 "b":2}',
    '{"a" 1}',
    "{a:1}",
    "{'a':1}",
    '{"a":[1,]}',
    '{"a":[,1]}',
    '{"a":[1 2]}',
    '{"a":[1}',
    '{"a":{"b":1]}',
    '{"a":1]',
    '{"a":1}}',
    '{"a":1}{}',
    '{"a":1},',
    '{"a":1}x',
    '{"a":01}',
    '{"a":-}',
    '{"a":+1}',
    '{"a":.5}',
    '{"a":1.}',
    '{"a":1.e5}',
    '{"a":1e}',
    '{"a":1e+}',
    '{"a":--1}',
    '{"a":0x10}',
    '{"a":1_000}',
    '{"a":1a}',
    '{"a":12a}',
    '{"a":00}',
    '{"a":-01}',
    '{"a":1.2.3}',
    '{"a":1e5.0}',
    '{"a":1-2}',
    '{"a":NaN}',
    '{"a":Infinity}',
    '{"a":-Infinity}',
    '{"a":tru}',
    '{"a":truee}',
    '{"a":True}',
    '{"a":nul}',
    '{"a":nullx}',
    '{"a":fals}',
    '{"a":falsey}',
    '{"a":undefined}',
    '{"a":true1}',
    '{"a":"\\x"}',
    '{"a":"\\u12"}',
    '{"a":"\\u12G4"}',
    '{"a":"\\U0041"}',
    '{"a":"\\',
    '{"a":"b',
    '{"a":"\t"}',
    '{"a":"\0"}',
    '{"\n":1}',
    '{"a":1/**/}',
    '{"a":1}//',
    '\ufeff{"a":1}',
    '{"a":1\u00a0}',
    '{"a":1\f}',
    '{"a":1\0}',
    "{1:1}",
    "{null:1}",
    '{"a"::1}',
    '{"a":1,,"b":2}',
  ])("%j", (json) => {
    expect(() => JSON.parse(json) as unknown).toSatisfy((parse: () => unknown) => {
      try {
        return typeof parse() !== "object" || parse() === null || Array.isArray(parse());
      } catch {
        return true;
      }
    });
    const found = digest(json);
    expect(found.status).toMatch(/invalid|need-more/);
    expect(found).toMatchObject({ key: "", refused: false });
    expect(digestSteps(json, 1).status).toBe(found.status);
    // The short ways are open only when more bytes are there.
    expect(digest(json + " ".repeat(64)).status).toMatch(/invalid|need-more/);
  });

  const isObject = (json: string) => {
    try {
      const value: unknown = JSON.parse(json);
      return typeof value === "object" && value !== null && !Array.isArray(value);
    } catch {
      return false;
    }
  };

  it("agrees with JSON.parse about bodies with a few wrong bytes", () => {
    const edit = fc.tuple(fc.nat(), fc.nat(2), fc.constantFrom(...'{}[]:,"\\ \n0123456789-+.eEtrufalsn\0/'.split("")));
    fc.assert(
      fc.property(body, fc.nat(2 ** 31), fc.array(edit, { minLength: 1, maxLength: 3 }), (value, seed, edits) => {
        let json = spell(value, new Choice(seed)).slice(0, 1500);
        for (const [at, how, letter] of edits) {
          const place = at % (json.length + 1);
          json = json.slice(0, place) + (how === 0 ? "" : letter) + json.slice(place + (how === 2 ? 0 : 1));
        }
        const found = digest(json);
        if (found.refused) return;
        expect(found.status === "complete").toBe(isObject(json));
        expect(digestSteps(json, 61)).toEqual(found);
      }),
      { numRuns: 1000 },
    );
  });

  it("any bytes do no harm, and leave nothing behind", () => {
    const good = digest('{"a":{"b":[1,"x"]}}');
    const bytes = fc.oneof(
      fc.uint8Array({ maxLength: 200 }),
      fc
        .array(fc.constantFrom(...'{}[]:,"\\u1e'), { maxLength: 200 })
        .map((all) => Buffer.from(`{"a":${all.join("")}`)),
    );
    fc.assert(
      fc.property(bytes, (input) => {
        const found = digest(input);
        expect(digestSteps(input, 3)).toEqual(found);
        expect(digest('{"a":{"b":[1,"x"]}}')).toEqual(good);
      }),
      { numRuns: 1000 },
    );
  });

  it("what was wrong stays wrong", () => {
    for (const [json, status] of [
      ['{"a":tru}', 2],
      [`{"a":${"[".repeat(300)}`, 3],
    ] as const) {
      wasm.reset();
      expect(wasm.feed(put(Buffer.from(json)), json.length)).toBe(status);
      for (const more of ["", "}", '{"a":1}']) expect(wasm.feed(put(Buffer.from(more)), more.length)).toBe(status);
    }
  });
});

describe("too much", () => {
  const refusal = { status: "limit", key: "", refused: true };

  it("depth", () => {
    const nested = (depth: number) => `{"a":${"[".repeat(depth - 1)}${"]".repeat(depth - 1)}}`;
    const objects = (depth: number) => `${'{"a":'.repeat(depth)}1${"}".repeat(depth)}`;
    const depth = wasm.maxDepth();
    for (const body of [nested, objects]) {
      expect(digest(body(depth))).toMatchObject({ status: "complete", refused: false });
      expect(digest(body(depth + 1))).toMatchObject(refusal);
      expect(digest(body(depth))).toMatchObject({ status: "complete", refused: false });
    }
  });

  it("members of open objects; the order of as many as there may be does not matter", () => {
    const most = wasm.maxMembers();
    const members = Array.from({ length: most }, (_, i) => `"name ${i}":${i}`);
    const all = (list: string[]) => digest(`{"x":{${list.join(",")}}}`);
    const found = all(members);
    expect(found.status).toBe("complete");
    expect(all([...members].reverse())).toEqual(found);
    expect(all([...members.slice(1), members[0] ?? ""])).toEqual(found);
    expect(all([...members.slice(0, -1), '"name 0":0']).key).not.toBe(found.key);
    expect(all([...members, '"one more":1'])).toMatchObject(refusal);
    expect(all(members)).toEqual(found);
    // Those around count, those that are over do not.
    expect(digest(`{"a":1,"x":{${members.join(",")}}}`)).toMatchObject(refusal);
    expect(digest(`{"x":[${`{${members.slice(0, 9000).join(",")}},`.repeat(3)}0]}`).status).toBe("complete");
  });

  it("numbers nobody writes", () => {
    const most = wasm.maxNumber();
    const one = `{"a":1${"0".repeat(most - 1)}}`;
    expect(digest(one).key).toBe(digest(`{"a":1e${most - 1}}`).key);
    expect(digest(`{"a":1${"0".repeat(most)}}`)).toMatchObject(refusal);
    expect(digest(`{"a":${"9".repeat(most)}}`).status).toBe("complete");
    expect(digest(`{"a":${"9".repeat(most)}}`).key).not.toBe(digest(`{"a":${"9".repeat(most - 1)}8}`).key);
    expect(digest(`{"a":${"9".repeat(100_000)}}`)).toMatchObject(refusal);
    expect(digest('{"a":1e999999}').key).not.toBe(digest('{"a":1e999998}').key);
    for (const power of ["1000000", "-1000000", "4294967297", "9".repeat(100)]) {
      expect(digest(`{"a":1e${power}}`)).toMatchObject(refusal);
    }
  });
});

describe("memory", () => {
  it("a text of 10 MB takes none, in pieces of any size, and has the key of its other spelling", () => {
    const text = Buffer.from(`{"image":"${"iVBORw0KGgoAAAANSUhEUg+/".repeat(437_000)}"}`);
    const other = Buffer.from(text.toString().replaceAll("/", "\\/"));
    const step = 65_536;
    const pieces = (bytes: Buffer) => Math.ceil(bytes.length / step);
    digestSteps(text.subarray(0, 4 * step), step);
    const before = wasm.memory.buffer.byteLength;
    const found = digestSteps(text, step);
    expect(found.status).toBe("complete");
    expect(found.size).toBeGreaterThan(10_400_000);
    expect(digestSteps(other, step - 1)).toEqual(found);
    expect(pieces(other)).toBeGreaterThan(150);
    expect(wasm.memory.buffer.byteLength).toBe(before);
  });

  it("allocates nothing per body", () => {
    const json = JSON.stringify({
      a: Array.from({ length: 50 }, (_, i) => ({ role: "user", content: "x".repeat(i) })),
    });
    digest(json);
    const at = put(Buffer.from(json));
    const top = wasm.memory.buffer.byteLength;
    for (let i = 0; i < 20_000; i++) {
      wasm.reset();
      wasm.feed(at, json.length);
    }
    expect(put(Buffer.from(json))).toBe(at);
    expect(wasm.memory.buffer.byteLength).toBe(top);
  });
});
