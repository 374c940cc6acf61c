import fc from "fast-check";
import { beforeAll, describe, expect, it } from "vitest";
import type { Stream } from "../host/index.ts";
import { RouterHost, refusalOf, sent } from "./router-driver.ts";

/** What is no JSON object in UTF-8 is refused wherever it goes wrong, and reading takes no memory. */

const window = 64 << 10;
const any = { models: [{ model: "*", route: "any" }], maxBodyBytes: 32 << 20 };

let strict: RouterHost;
let lastWins: RouterHost;
beforeAll(async () => {
  strict = await RouterHost.start(any);
  lastWins = await RouterHost.start({ ...any, duplicateModel: "lastWins" });
});

/** The model that was seen, or the code of the refusal. */
function outcome(gateway: RouterHost, body: string | Uint8Array): string | undefined {
  const stream = gateway.send(body);
  return refusalOf(stream) ?? sent(stream).model;
}

const reads = (stream: Stream): number => stream.trace.filter(({ name }) => name === "proxy_get_buffer_bytes").length;

const text = (bytes: number) => `"${'say \\"hi\\", '.repeat(bytes / 12)}"`;
const pad = (bytes: number) => `"pad":[${text(bytes)}]`;

describe("bodies over one window", () => {
  /** Where the last key wins, the end of the body decides if it shows one. */
  const wrong: [name: string, body: string, withLastWins: string][] = [
    ["a second document with a model", `{${pad(200_000)}}{"model":"a"}`, "a"],
    ["a second document without one", `{"model":"a",${pad(200_000)}}{"b":1}`, "invalid_json"],
    ["one bracket too few in front of model", `{"x":[${text(200_000)},"model":"a"}`, "a"],
    ["one bracket too few behind it", `{"model":"a","x":[${text(200_000)}}`, "invalid_json"],
    ["one bracket too many", `{${pad(200_000)},"model":"a"}}`, "invalid_json"],
    ["a bracket of the other sort", `{"model":"a","x":[${text(200_000)}},"y":[]}`, "invalid_json"],
    ["a missing comma in the middle", `{"model":"a",${pad(100_000)} ${pad(100_000)}}`, "invalid_json"],
    ["a missing colon in the middle", `{"model":"a",${pad(100_000)},"x" 1,${pad(100_000)}}`, "invalid_json"],
    ["a comma behind the last member", `{"model":"a",${pad(200_000)},}`, "invalid_json"],
    ["a string without an end", `{"model":"a",${pad(200_000)},"x":"}`, "invalid_json"],
    ["a comment that hides a quote", `{"model":"a",${pad(200_000)},"x":[/*"*/1],"y":["/*"]}`, "invalid_json"],
    ["a letter behind the document", `{"model":"a",${pad(200_000)}}x`, "invalid_json"],
    ["a zero byte behind the document", `{"model":"a",${pad(200_000)}}\0`, "invalid_json"],
    ["a second document behind white space", `{"model":"a"}${" ".repeat(150_000)}{}`, "invalid_json"],
    [
      "too deep an array at the end",
      `{"model":"a",${pad(200_000)},"x":${"[".repeat(300)}${"]".repeat(300)}}`,
      "invalid_json",
    ],
  ];
  it.each(wrong)("with %s", (_name, body, withLastWins) => {
    expect(outcome(strict, body)).toBe("invalid_json");
    expect(outcome(lastWins, body)).toBe(withLastWins);
  });

  it("are not read further than to what is wrong", () => {
    expect(reads(strict.send(`[{"model":"a",${pad(200_000)}}]`))).toBe(1);
    expect(
      reads(strict.send(Buffer.concat([Buffer.from('{"model":"a"\xff', "latin1"), Buffer.alloc(200_000, 0x20)]))),
    ).toBe(1);
  });

  it("are valid with the same things inside of strings", () => {
    const body = JSON.stringify({ model: "a", pad: "x".repeat(100_000), y: ['}]{[ /*"*/ \'"', "\\", '\\"'], z: 1e30 });
    expect(outcome(strict, body)).toBe("a");
    expect(outcome(strict, `${body} \n`)).toBe("a");
  });
});

describe("UTF-8", () => {
  const model = (bytes: string) =>
    Buffer.concat([Buffer.from('{"model":"a","x":"'), Buffer.from(bytes, "hex"), Buffer.from('"}')]);
  it.each(["ff", "c0af", "e0809f", "eda080", "f4908080", "80", "e4b8", "f09f98"])(
    "is missed in a small body with %s",
    (bytes) => {
      expect(outcome(strict, model(bytes))).toBe("invalid_utf8");
      expect(outcome(lastWins, model(bytes))).toBe("invalid_utf8");
    },
  );

  it("is missed in keys, in model and behind the document", () => {
    for (const [before, behind] of [
      ["{", '":1}'],
      ['{"model":"', '"}'],
      ['{"model":"a"}', ""],
    ] as const) {
      expect(outcome(strict, Buffer.concat([Buffer.from(before), Buffer.from([0xc3]), Buffer.from(behind)]))).toBe(
        "invalid_utf8",
      );
    }
  });

  it("of a character across the border of two windows is read", () => {
    for (const character of ["é", "中", "😀"]) {
      for (let shift = -5; shift <= 5; shift++) {
        const body = Buffer.from(`{"x":"${"y".repeat(window - 6 + shift)}${character}","model":"a"}`);
        expect(outcome(strict, body)).toBe("a");
        // The character without its last byte.
        const cut = window + shift + Buffer.byteLength(character) - 1;
        expect(outcome(strict, Buffer.concat([body.subarray(0, cut), body.subarray(cut + 1)]))).toBe("invalid_utf8");
      }
    }
  });

  it("is looked for wherever a large body is read", () => {
    const body = Buffer.from(`{"x":${text(200_000)},"model":"a"}`);
    for (const at of [10, window - 1, window, 2 * window - 1, 150_000, body.length - 30, body.length - 3]) {
      const broken = Buffer.from(body);
      broken[at] = 0xff;
      expect(outcome(strict, broken)).toBe("invalid_utf8");
      // Where the last model wins, 4 KiB at the end are read if they show one.
      expect(outcome(lastWins, broken)).toBe(at < body.length - 4096 ? "a" : "invalid_utf8");
    }
    expect(outcome(strict, Buffer.concat([body, Buffer.from([0xe4, 0xb8])]))).toBe("invalid_utf8");
  });

  it("of a character across the border of what is read of the end is read", () => {
    for (let shift = -4; shift <= 4; shift++) {
      const tail = `${"y".repeat(4096 - 20 + shift)}","model":"a"}`;
      const stream = lastWins.send(`{"x":"${"z".repeat(100_000)}😀${tail}`);
      expect(sent(stream).model).toBe("a");
      expect(reads(stream)).toBe(1);
    }
  });

  it("matters less than a model that is named twice", () => {
    expect(outcome(strict, Buffer.from('{"model":"a","model":"b","x":"\xff"}', "latin1"))).toBe("ambiguous_model");
  });
});

it("agrees with JSON.parse on bodies of several windows with one byte changed, wherever it is", () => {
  const message = (content: string) => ({ role: "user", content });
  const filler = 'say "hi" to {[ 中😀 \\ ]}\n'.repeat(2500);
  const body = Buffer.from(
    JSON.stringify({ messages: [message(filler), message("short"), message(filler)], n: 1, model: "a" }),
  );
  expect(body.length).toBeGreaterThan(2 * window);
  const change = fc.tuple(fc.nat(body.length - 1), fc.constantFrom(...Buffer.from('"\\{}[],:x 1\n')));
  fc.assert(
    fc.property(change, fc.boolean(), ([at, byte], structural) => {
      const changed = Buffer.from(body);
      // Half of the changes hit what is no text: there is little of it.
      const places = [0, 1, 13, 14, 22, 30, body.length - 1, body.length - 2, body.length - 12, body.length - 15];
      const place = structural ? (places[at % places.length] ?? 0) : at;
      if ((changed[place] ?? 0) >= 0x80) return;
      changed[place] = byte;
      let expected: unknown;
      try {
        expected = (JSON.parse(changed.toString()) as { model?: unknown }).model;
      } catch {
        // Bad grammar of nested values is the upstream's to refuse, as long as strings and brackets fit: then the model is the one that stands there.
        return void expect(["a", "invalid_json", "model_required"]).toContain(outcome(strict, changed));
      }
      expect(outcome(strict, changed)).toBe(typeof expected === "string" ? expected : "model_required");
    }),
    { numRuns: 400 },
  );
});

describe("memory", () => {
  const large = (content: string) => Buffer.from(JSON.stringify({ messages: [{ role: "user", content }], model: "a" }));
  it.each([
    ["prose", large("plain words and no end, ".repeat(437_000))],
    ["code", large('if (x == "\\n") { return "é"; }\n'.repeat(270_000))],
    ["text beyond ASCII", large("请用三句话总结这段文字。".repeat(291_000))],
    ["brackets", Buffer.from(`{"x":[${"[[{}],[]],".repeat(1_050_000)}0],"model":"a"}`)],
    ["keys", Buffer.from(`{${'"k":1,'.repeat(1_750_000)}"model":"a"}`)],
  ])(
    "does not grow by a scan of 10 MB of %s",
    async (_name, body) => {
      expect(body.length).toBeGreaterThan(10_000_000);
      const gateway = await RouterHost.start(any);
      // The first request makes what every later one uses again.
      expect(outcome(gateway, '{"model":"a"}')).toBe("a");
      const before = gateway.vm.memory.pages;
      expect(outcome(gateway, body)).toBe("a");
      // The bound of the project is 4 pages of 64 KiB.
      expect(gateway.vm.memory.pages - before).toBe(0);
    },
    60_000,
  );
});
