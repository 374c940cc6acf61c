import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { ExpositionError, samplesOf } from "./exposition.ts";
import { MAX_LABELS, MAX_SAMPLES } from "./limits.ts";

const WANTED = new Set(["a:b_c", "n"]);
const one = (text: string) => {
  const [sample, ...more] = samplesOf(text, WANTED);
  expect(more).toEqual([]);
  return sample && { name: sample.name, labels: Object.fromEntries(sample.labels), value: sample.value };
};

describe("a line of a wanted metric", () => {
  it.each<[string, object, number]>([
    ["n 1", {}, 1],
    ["n 1.5e+03\r\n", {}, 1500],
    ["n  .5 1700000000123 \n", {}, 0.5],
    ["n{} -2", {}, -2],
    ['n {x="y"} 3', { x: "y" }, 3],
    ['n{x="y",} 3', { x: "y" }, 3],
    ['n{x="y"}3', { x: "y" }, 3],
    ['n{ x = "y" , z="" } 0', { x: "y", z: "" }, 0],
    ['n{x="a\\"b\\\\c\\nd}, e=",y="ü"} 7', { x: 'a"b\\c\nd}, e=', y: "ü" }, 7],
    ['n{__proto__="p"} 1', { ["__proto__"]: "p" }, 1],
  ])("%j", (text, labels, value) => {
    expect(one(text)).toEqual({ name: "n", labels, value });
  });

  it.each([
    "n",
    "n ",
    "n one",
    "n NaN",
    "n +Inf",
    "n 0x10",
    "n 1 2 3",
    "n 1 soon",
    "n-1 2",
    "n{",
    "n{x} 1",
    "n{x=y} 1",
    'n{x="y} 1',
    'n{x="y"',
    'n{x="y"}',
    'n{x="y" z="a"} 1',
    'n{x="\\t"} 1',
    'n{x="y",x="z"} 1',
    'n{1="y"} 1',
    "n 1e9999",
    `n{${Array.from({ length: MAX_LABELS + 1 }, (_, i) => `l${i}="v"`).join()}} 1`,
  ])("is refused: %j", (text) => {
    expect(() => samplesOf(`${text}\n`, WANTED)).toThrow(ExpositionError);
  });
});

it("other lines are not read, however they look", () => {
  const text = '# HELP n help\n# TYPE n gauge\nnn{ 1\nn2 x\n{}\n\n  n 5\na:b 1\na:b_c{p="1"} 4\n\u0000\uffff\nn 2';
  expect(samplesOf(text, WANTED).map(({ name, value }) => [name, value])).toEqual([
    ["a:b_c", 4],
    ["n", 2],
  ]);
});

it("a text of one metric without end is refused", () => {
  expect(samplesOf("n 1\n".repeat(MAX_SAMPLES), WANTED)).toHaveLength(MAX_SAMPLES);
  expect(() => samplesOf("n 1\n".repeat(MAX_SAMPLES + 1), WANTED)).toThrow(`more than ${MAX_SAMPLES}`);
});

it("property: what is written as Prometheus writes it is read back", () => {
  const characters = fc.constantFrom(
    '"',
    "\\",
    "\n",
    ",",
    "}",
    "{",
    "=",
    " ",
    "#",
    "n",
    "1",
    "\u00fc",
    "\u{1f600}",
    "\ud800",
    "\u2028",
  );
  const text = fc.array(characters, { maxLength: 8 }).map((each) => each.join(""));
  const labels = fc.dictionary(fc.constantFrom("a", "b_1", "le", "model_name", "_"), text, {
    maxKeys: 6,
  });
  const values = fc.double({ noNaN: true, noDefaultInfinity: true }).map((value) => value + 0);
  const escaped = (value: string) => value.replaceAll("\\", "\\\\").replaceAll('"', '\\"').replaceAll("\n", "\\n");
  fc.assert(
    fc.property(fc.array(fc.tuple(labels, values), { maxLength: 5 }), (samples) => {
      const lines = samples.map(
        ([each, value]) => `n{${Object.entries(each).map(([key, text]) => `${key}="${escaped(text)}"`)}} ${value}`,
      );
      const read = samplesOf(lines.join("\n"), WANTED);
      expect(read.map(({ labels: map, value }) => [Object.fromEntries(map), value])).toEqual(
        samples.map(([each, value]) => [{ ...each }, value]),
      );
    }),
  );
});

it("property: any text is read or refused", () => {
  const pieces = fc.array(
    fc.oneof(fc.constantFrom("n", "{", "}", '"', "=", ",", " ", "\\", "\n", "1", "x"), fc.string()),
  );
  fc.assert(
    fc.property(pieces, (parts) => {
      try {
        samplesOf(parts.join(""), WANTED);
      } catch (error) {
        expect(error).toBeInstanceOf(ExpositionError);
      }
    }),
    { numRuns: 1_000 },
  );
});
