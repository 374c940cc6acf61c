import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { ApiError } from "./api-error.ts";
import { Collection, type RawObject } from "./collection.ts";

const object = (name: string, value: unknown, version: number, namespace = "mesh"): RawObject => ({
  metadata: { name, namespace, resourceVersion: String(version) },
  value,
});
const page = (items: readonly RawObject[], version: number | string, next = "") => ({
  metadata: { resourceVersion: String(version), ...(next !== "" && { continue: next }) },
  items,
});
const event = (type: string, value: RawObject) => JSON.stringify({ type, object: value });

function numbers(weigh?: (value: number) => number) {
  return new Collection<number>({
    path: "/things",
    read: ({ value }) => (typeof value === "number" ? value : undefined),
    same: (a, b) => a === b,
    ...(weigh && { weigh }),
  });
}

function fault(run: () => void): ApiError {
  try {
    run();
  } catch (error) {
    if (error instanceof ApiError) return error;
  }
  throw new Error("nothing was refused");
}

describe("Collection", () => {
  it("takes a list only with its last page, and tells what is another", () => {
    const things = numbers();
    expect(things.version).toBeUndefined();
    expect(things.page(page([object("a", 1, 3)], 7, "more"))).toBe("more");
    expect([things.objects.size, things.version]).toEqual([0, undefined]);
    expect(things.page(page([object("b", 2, 4), object("c", "x", 5)], 7))).toBeUndefined();
    expect([...things.objects]).toEqual([
      ["mesh/a", 1],
      ["mesh/b", 2],
    ]);
    expect(things.version).toBe("7");
    expect([...things.takeChanged()]).toEqual(["mesh/a", "mesh/b"]);
    expect(things.takeChanged().size).toBe(0);
    things.page(page([object("b", 2, 4), object("d", 4, 8)], 9));
    expect([...things.takeChanged()].sort()).toEqual(["mesh/a", "mesh/d"]);
  });

  it("forgets the pages of a list that broke off", () => {
    const things = numbers();
    things.page(page([object("a", 1, 3)], 7, "more"));
    things.expire();
    things.page(page([object("b", 1, 3)], 8));
    expect([...things.objects.keys()]).toEqual(["mesh/b"]);
  });

  it("follows events, and their versions", () => {
    const things = numbers();
    things.page(page([], 7));
    things.event(event("ADDED", object("a", 1, 8)));
    things.event(event("MODIFIED", object("a", 2, 9)));
    things.event(event("MODIFIED", object("a", 2, 10)));
    expect([things.objects.get("mesh/a"), things.version]).toEqual([2, "10"]);
    things.event(JSON.stringify({ type: "BOOKMARK", object: { metadata: { resourceVersion: "12" } } }));
    expect([things.objects.size, things.version]).toEqual([1, "12"]);
    things.takeChanged();
    things.event(event("MODIFIED", object("a", 2, 13)));
    expect(things.takeChanged().size).toBe(0);
    things.event(event("MODIFIED", object("a", "no number", 14)));
    expect([things.objects.size, [...things.takeChanged()]]).toEqual([0, ["mesh/a"]]);
    things.event(event("DELETED", object("a", 2, 15)));
    expect([things.takeChanged().size, things.version]).toEqual([0, "15"]);
  });

  it("expires when versions go back, compared as numbers of any length", () => {
    const things = numbers();
    things.page(page([], "99999999999999999999"));
    things.event(event("ADDED", object("a", 1, 0)).replace('"0"', '"100000000000000000000"'));
    const error = fault(() => things.event(event("ADDED", object("b", 1, 0)).replace('"0"', '"99999999999999999999"')));
    expect(error.expired).toBe(true);
    expect(things.objects.has("mesh/b")).toBe(false);
  });

  it("says what an ERROR event says", () => {
    const things = numbers();
    things.page(page([], 7));
    const gone = { type: "ERROR", object: { code: 410, reason: "Expired", message: "too old\nresource version" } };
    const error = fault(() => things.event(JSON.stringify(gone)));
    expect([error.expired, error.status]).toEqual([true, 410]);
    expect(error.message).toBe("watch of /things: too old resource version");
    expect(fault(() => things.event('{"type":"ERROR"}')).fault).toBe("status");
  });

  it("refuses what is no list and no event", () => {
    for (const answer of [undefined, null, 1, "x", [], {}, { items: {} }, { items: [] }, { items: [], metadata: {} }])
      expect(fault(() => numbers().page(answer)).fault).toBe("malformed");
    expect(numbers().page({ items: null, metadata: { resourceVersion: "1" } })).toBeUndefined();
    for (const line of [
      "",
      "{",
      "null",
      "1",
      '"x"',
      "{}",
      '{"type":"ADDED"}',
      event("ADDED", {}),
      event("X", object("a", 1, 8)),
    ])
      expect(fault(() => numbers().event(line)).fault).toBe("malformed");
  });

  it("leaves out objects without a sensible name", () => {
    const things = numbers();
    const named = (name: unknown, namespace: unknown) => ({ metadata: { name, namespace }, value: 1 });
    const bad = [
      null,
      1,
      {},
      named(1, "x"),
      named("", "x"),
      named("a".repeat(254), "x"),
      named("a", "n".repeat(64)),
      named("a", 1),
    ];
    things.page(page(bad as RawObject[], 1));
    expect(things.objects.size).toBe(0);
    things.page(page([{ metadata: { name: "node" }, value: 1 }], 2));
    expect([...things.objects.keys()]).toEqual(["node"]);
  });

  it("bounds what it keeps by weight, through lists, changes and removals", () => {
    const things = numbers((value) => value);
    things.page(page([object("a", 30_000, 1), object("b", 20_000, 1)], 2));
    expect(fault(() => things.event(event("ADDED", object("c", 1, 3)))).fault).toBe("too_large");
    things.event(event("MODIFIED", object("a", 10_000, 4)));
    things.event(event("ADDED", object("c", 20_000, 5)));
    expect(fault(() => things.event(event("MODIFIED", object("c", 20_001, 6)))).fault).toBe("too_large");
    things.event(event("DELETED", object("b", 20_000, 7)));
    things.event(event("DELETED", object("b", 20_000, 8)));
    things.event(event("ADDED", object("d", 20_000, 9)));
    expect(fault(() => things.event(event("ADDED", object("e", 1, 10)))).fault).toBe("too_large");
    expect(fault(() => numbers(() => 25_001).page(page([object("a", 1, 1), object("b", 1, 1)], 2))).fault).toBe(
      "too_large",
    );
    things.page(page([object("a", 50_000, 1)], 20));
    expect(things.objects.size).toBe(1);
  });

  it("equals a map, whatever comes, and tells every key that is another", () => {
    const name = fc.constantFrom("a", "b", "c");
    const step = fc.oneof(
      fc.record({ what: fc.constantFrom("ADDED", "MODIFIED", "DELETED"), name, value: fc.nat(2) }),
      fc.record({ what: fc.constant("LIST"), items: fc.dictionary(name, fc.nat(2)) }),
    );
    fc.assert(
      fc.property(fc.array(step), (steps) => {
        const things = numbers();
        things.page(page([], 1));
        let model = new Map<string, number>();
        let told = new Map<string, number>();
        for (const [index, each] of steps.entries()) {
          const version = index + 2;
          if ("items" in each) {
            const items = Object.entries(each.items);
            things.expire();
            things.page(
              page(
                items.map(([key, value]) => object(key, value, version)),
                version,
              ),
            );
            model = new Map(items.map(([key, value]) => [`mesh/${key}`, value]));
          } else {
            things.event(event(each.what, object(each.name, each.value, version)));
            if (each.what === "DELETED") model.delete(`mesh/${each.name}`);
            else model.set(`mesh/${each.name}`, each.value);
          }
          expect(new Map(things.objects)).toEqual(model);
          const changed = things.takeChanged();
          const differs = ["mesh/a", "mesh/b", "mesh/c"].filter((key) => told.get(key) !== model.get(key));
          expect([...changed].sort()).toEqual(differs);
          told = new Map(model);
        }
      }),
    );
  });
});
