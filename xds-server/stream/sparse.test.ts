import fc from "fast-check";
import { expect, it } from "vitest";
import { emptyMap, emptySet, withEntry, withMember, withoutEntry, withoutMember } from "./sparse.ts";

const steps = fc.array(fc.record({ put: fc.boolean(), key: fc.integer({ min: 0, max: 5 }) }));

it("property: a sparse map holds what a map does, and an empty one is the one that all share", () => {
  fc.assert(
    fc.property(steps, (list) => {
      const model = new Map<number, number>();
      let map = emptyMap<number, number>();
      for (const [value, { put, key }] of list.entries()) {
        if (put) model.set(key, value);
        else model.delete(key);
        map = put ? withEntry(map, key, value) : withoutEntry(map, key);
        expect([...map]).toEqual([...model]);
        expect(map === emptyMap()).toBe(model.size === 0);
      }
      expect(emptyMap().size).toBe(0);
    }),
  );
});

it("property: a sparse set holds what a set does, and an empty one is the one that all share", () => {
  fc.assert(
    fc.property(steps, (list) => {
      const model = new Set<number>();
      let set = emptySet<number>();
      for (const { put, key } of list) {
        if (put) model.add(key);
        else model.delete(key);
        set = put ? withMember(set, key) : withoutMember(set, key);
        expect([...set]).toEqual([...model]);
        expect(set === emptySet()).toBe(model.size === 0);
      }
      expect(emptySet().size).toBe(0);
    }),
  );
});

it("two fields do not share what is not empty", () => {
  const one = withEntry(emptyMap<string, number>(), "a", 1);
  const other = withEntry(emptyMap<string, number>(), "b", 2);
  expect([...one, ...other]).toEqual([
    ["a", 1],
    ["b", 2],
  ]);
});

it("everything may be taken out while it is gone through", () => {
  let set: ReadonlySet<number> = [1, 2, 3].reduce((all, each) => withMember(all, each), emptySet<number>());
  const seen: number[] = [];
  for (const each of set) {
    seen.push(each);
    set = withoutMember(set, each);
  }
  expect(seen).toEqual([1, 2, 3]);
  expect(set).toBe(emptySet());
});
