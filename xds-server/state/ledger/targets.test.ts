import { describe, expect, it } from "vitest";
import { Patterns } from "./budgets.ts";
import { parseLedgerConfig } from "./config.ts";
import { Targets, usageRow } from "./targets.ts";

/** What is kept of budgets between calls must never be that of another budget. */

const CONFIG = `
domains:
  - {name: any, override: true}
  - name: named
    descriptors:
      - {name: tenant, entries: [tenant, model], secret: [tenant], limits: [{amount: 1, per: day}]}
      - {name: free, entries: [free], usage: false, limits: [{amount: 1, per: day}]}
`;

function targets(): Targets {
  const parsed = parseLedgerConfig("a.yaml", CONFIG);
  if (!parsed.ok) throw new Error(JSON.stringify(parsed.errors));
  return new Targets(new Patterns(parsed.config));
}

const entriesOf = (...pairs: readonly (readonly [string, string])[]) => pairs.map(([key, value]) => ({ key, value }));

describe("targets", () => {
  it("are found once, and are the same again", () => {
    const found = targets();
    const first = found.find("any", entriesOf(["a", "1"]));
    expect(found.find("any", entriesOf(["a", "1"]))).toBe(first);
    expect(first).toMatchObject({ label: '[["a","1"]]', key: expect.stringMatching(/^\{any\}:b:[\w-]{22}$/) });
    expect(found.find("nowhere", entriesOf(["a", "1"]))).toBeUndefined();
    expect(found.find("named", entriesOf(["a", "1"]))).toBeUndefined();
  });

  it("are those of their own entries, however much others look like them", () => {
    const found = targets();
    const lists = [
      entriesOf(["ab", "c"]),
      entriesOf(["a", "bc"]),
      entriesOf(["a", "b"], ["c", ""]),
      entriesOf(["a", "b"], ["", "c"]),
      entriesOf(["a", "1:b"]),
      entriesOf(["a", "1"], ["b", ""]),
      entriesOf(["a", "b1:c1:d"]),
      entriesOf(["a", "b"], ["c", "d"]),
      entriesOf(["c", "d"], ["a", "b"]),
    ];
    for (let round = 0; round < 2; round++) {
      const keys = lists.map((entries) => found.find("any", entries)?.key);
      expect(new Set(keys).size).toBe(lists.length);
      for (const [index, entries] of lists.entries()) {
        expect(found.find("any", entries)?.label).toBe(
          JSON.stringify(lists[index]?.map(({ key, value }) => [key, value])),
        );
      }
    }
  });

  it("hide what is secret, and say in which row of the usage table they count", () => {
    const found = targets();
    const target = found.find("named", entriesOf(["tenant", "key-1"], ["model", "m"]));
    if (target === undefined) throw new Error("no target");
    expect(JSON.parse(usageRow(target, 'm"1'))).toEqual(["tenant", JSON.parse(target.label), 'm"1']);
    expect(JSON.stringify(target)).not.toContain("key-1");
    const free = found.find("named", entriesOf(["free", "x"]));
    expect(free && usageRow(free, "m")).toBe("");
  });

  it("are kept within bounds", () => {
    const found = targets();
    const long = entriesOf(["a", "x".repeat(2_000)]);
    expect(found.find("any", long)).not.toBe(found.find("any", long));
    const first = found.find("any", entriesOf(["n", "0"]));
    for (let n = 1; n < 10_000; n++) found.find("any", entriesOf(["n", String(n)]));
    expect(found.find("any", entriesOf(["n", "0"]))).toBe(first);
    found.find("any", entriesOf(["n", "10000"]));
    const again = found.find("any", entriesOf(["n", "0"]));
    expect(again).toEqual(first);
    expect(again).not.toBe(first);
  });
});
