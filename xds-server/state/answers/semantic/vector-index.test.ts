import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type Question, VectorIndex } from "./vector-index.ts";
import { decodeRecord, encodeRecord } from "./vector-record.ts";
import { wordingOf } from "./wording.ts";

const NO_WORDS = wordingOf("");

function unit(numbers: readonly number[]): Float32Array {
  const length = Math.hypot(...numbers) || 1;
  return Float32Array.from(numbers, (each) => each / length);
}
const question = (key: string, numbers: readonly number[], id = ""): Question => ({
  key,
  vector: unit(numbers),
  wording: NO_WORDS,
  id,
});
const open = (maxQuestions = 100, maxBytes = 1e9) => new VectorIndex({ maxQuestions, maxBytes });
const keys = (index: VectorIndex, partition: string, numbers: readonly number[], permille = 1) =>
  index.nearest(partition, unit(numbers), permille).map(({ key }) => key);

describe("an index of vectors", () => {
  it("finds what looking at all would, after any steps", () => {
    const numbers = fc
      .array(fc.integer({ min: -3, max: 3 }), { minLength: 5, maxLength: 5 })
      .filter((v) => v.some(Boolean));
    const step = fc.record({
      what: fc.constantFrom("add", "add", "add", "remove", "use", "nearest"),
      partition: fc.constantFrom("p", "q"),
      key: fc.constantFrom(..."abcdefgh"),
      numbers,
      permille: fc.integer({ min: 1, max: 1_000 }),
    });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), fc.integer({ min: 1, max: 6 }), (steps, most) => {
        const index = open(most);
        // Entries of each partition, the one that was of use last at the end.
        const model = new Map<string, Map<string, Float32Array>>();
        const of = (partition: string) =>
          model.get(partition) ?? model.set(partition, new Map()).get(partition) ?? new Map();
        for (const each of steps) {
          const held = of(each.partition);
          const vector = unit(each.numbers);
          if (each.what === "add") {
            index.add(each.partition, question(each.key, each.numbers));
            held.delete(each.key);
            if (held.size >= most) held.delete(held.keys().next().value);
            held.set(each.key, vector);
          } else if (each.what === "remove") {
            index.remove(each.partition, each.key);
            held.delete(each.key);
          } else if (each.what === "use") {
            index.use(each.partition, each.key);
            const kept = held.get(each.key);
            if (held.delete(each.key)) held.set(each.key, kept);
          } else {
            const cosine = (other: Float32Array) =>
              other.reduce((sum, value, at) => sum + value * (vector[at] ?? 0), 0);
            const expected = [...held].filter(([, other]) => Math.floor(cosine(other) * 1_000 + 1e-3) >= each.permille);
            const found = index.nearest(each.partition, vector, each.permille);
            expect(found.map(({ key }) => key).sort()).toEqual(expected.map(([key]) => key).sort());
            const order = found.map(({ permille }) => permille);
            expect(order).toEqual([...order].sort((one, other) => other - one));
          }
        }
        expect(index.questions).toBe([...model.values()].reduce((sum, { size }) => sum + size, 0));
      }),
      { numRuns: 300 },
    );
  });

  it("a vector is as near to itself as can be, to its opposite not at all", () => {
    const index = open();
    const long = Array.from({ length: 1_537 }, (_, n) => Math.sin(n));
    index.add("p", question("a", long));
    expect(index.nearest("p", unit(long), 1_000)).toMatchObject([{ key: "a", permille: 1_000 }]);
    expect(
      keys(
        index,
        "p",
        long.map((each) => -each),
      ),
    ).toEqual([]);
    expect(keys(index, "q", long)).toEqual([]);
    expect(keys(index, "p", [1, 2])).toEqual([]);
  });

  it("vectors of another model take the place of the old ones", () => {
    const index = open();
    for (const key of ["a", "b"]) index.add("p", question(key, [1, 2, 3]));
    index.add("p", question("c", [1, 2]));
    expect(keys(index, "p", [1, 2])).toEqual(["c"]);
    expect([keys(index, "p", [1, 2, 3]), index.count("p"), index.questions]).toEqual([[], 1, 1]);
  });

  it("keeps so many bytes of all partitions, but always the one that was used last", () => {
    const index = open(100, 40_000);
    const numbers = (n: number) => Array.from({ length: 100 }, (_, at) => Math.sin(n + at));
    for (let n = 0; n < 200; n++) {
      index.add(`p${n}`, question("a", numbers(n)));
      if (n === 0) expect(index.bytes).toBeGreaterThan(4 * 100 * 4);
      expect(index.bytes).toBeLessThanOrEqual(40_000);
      index.nearest("p0", unit(numbers(0)), 1);
    }
    expect(keys(index, "p0", numbers(0))).toEqual(["a"]);
    expect([keys(index, "p1", numbers(1)), keys(index, "p199", numbers(199))]).toEqual([[], ["a"]]);
    expect(index.partitions).toBe(index.questions);
    for (let n = 0; n < 100; n++) index.add("large", question(String(n), numbers(n)));
    expect([index.count("large"), index.partitions]).toEqual([100, 1]);
    for (let n = 0; n < 100; n++) index.remove("large", String(n));
    index.add("other", question("a", numbers(1)));
    expect(index.bytes).toBeLessThan(5_000);
  });

  it("knows how far each partition was read", () => {
    const index = open();
    expect(index.cursor("p")).toBe("");
    index.setCursor("p", "5-1");
    index.add("p", question("a", [1, 2], "5-1"));
    expect([index.cursor("p"), index.id("p", "a"), index.id("p", "b")]).toEqual(["5-1", "5-1", ""]);
  });
});

describe("a record", () => {
  const asked = { ...question("ab".repeat(16), [1, 2, 3]), wording: wordingOf("why not 25 apples in Berlin") };

  it("comes back as it was", () => {
    const record = encodeRecord(asked);
    expect(record).toHaveLength(24 + 4 * (3 + 3 + 3));
    expect(record.subarray(0, 24).toString("hex")).toBe(`010003000300${"0300"}${"ab".repeat(16)}`);
    expect(decodeRecord(record, "7-0")).toEqual({ ...asked, id: "7-0" });
  });

  it("with other bytes is none", () => {
    const record = encodeRecord(asked);
    const changed = (at: number, ...bytes: readonly number[]) => {
      const copy = Buffer.from(record);
      copy.set(bytes, at);
      return copy;
    };
    const wrong = [Buffer.alloc(0), record.subarray(0, -1), Buffer.concat([record, Buffer.alloc(1)])];
    wrong.push(
      changed(0, 2),
      changed(2, 0),
      changed(2, 1),
      changed(4, 4),
      changed(24, 0, 0, 0xa0, 0x40),
      changed(24, 0, 0, 0xc0, 0x7f),
      changed(26, 0x80, 0x7f),
    );
    for (const each of wrong) expect(decodeRecord(each, "1-0")).toBeUndefined();
    fc.assert(fc.property(fc.uint8Array({ maxLength: 80 }), (bytes) => void decodeRecord(Buffer.from(bytes), "")));
  });
});
