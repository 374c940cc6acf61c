import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { withoutSecrets } from "./secrets.ts";

describe("secrets", () => {
  it("are replaced as they are, in JSON and in quoted JSON", () => {
    const secret = 'a"b\\c';
    const inJson = JSON.stringify({ value: secret });
    expect(withoutSecrets(`plain ${secret} json ${inJson} quoted ${JSON.stringify(inJson)}`, [secret])).toBe(
      'plain (hidden) json {"value":"(hidden)"} quoted "{\\"value\\":\\"(hidden)\\"}"',
    );
  });

  it("that are part of each other are replaced as a whole", () => {
    expect(withoutSecrets("key-1234 key", ["key", "key-1234"])).toBe("(hidden) (hidden)");
  });

  it("leave a text without them alone", () => {
    expect(withoutSecrets("$& text $1", ["other", ""])).toBe("$& text $1");
  });

  it("are replaced in the text format of protobuf", () => {
    const secret = 'it\'s "x"'.replace(" ", "");
    const text = JSON.stringify({ value: secret }).replace(/["'\\]/g, "\\$&");
    expect(withoutSecrets(`configuration { value: "${text}" }`, [secret])).not.toContain("it");
  });

  it("property: none is left, however deep the quotes", () => {
    const visible = fc.integer({ min: 0x21, max: 0x7e }).map((code) => String.fromCharCode(code));
    // A shorter one may be part of the mark.
    const secretOf = fc.string({ unit: visible, minLength: 9, maxLength: 30 });
    fc.assert(
      fc.property(fc.string(), secretOf, fc.string(), fc.nat(2), (before, secret, after, depth) => {
        let quoted = secret;
        for (let i = 0; i < depth; i++) quoted = JSON.stringify(quoted).slice(1, -1);
        expect(withoutSecrets(`${before}${quoted}${after}`, [secret])).not.toContain(quoted);
      }),
    );
  });
});
