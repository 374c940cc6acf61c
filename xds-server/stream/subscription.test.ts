import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { changeSubscription, INITIAL_SUBSCRIPTION, isSubscribed, updateSubscription } from "./subscription.ts";

const names = fc.array(fc.constantFrom("*", "a", "b", "c"), { maxLength: 5 });

describe("subscription", () => {
  it("returns the same object when nothing changed", () => {
    const first = updateSubscription(INITIAL_SUBSCRIPTION, ["a", "b"], true);
    expect(updateSubscription(first, ["b", "a", "a"], true)).toBe(first);
    const wildcard = updateSubscription(INITIAL_SUBSCRIPTION, [], true);
    expect(updateSubscription(wildcard, [], true)).toBe(wildcard);
  });

  it("property: after any requests it says what the last one means, given whether a name was ever sent", () => {
    fc.assert(
      fc.property(fc.array(names, { minLength: 1, maxLength: 8 }), fc.boolean(), (requests, wildcardType) => {
        const end = requests.reduce(
          (state, each) => updateSubscription(state, each, wildcardType),
          INITIAL_SUBSCRIPTION,
        );
        const last = requests.at(-1) ?? [];
        const everNamed = requests.some((each) => each.length > 0);
        const everything = last.includes("*") || (!everNamed && wildcardType);
        expect(end.wildcard).toBe(everything);
        for (const name of ["a", "b", "c"])
          expect(isSubscribed(end, name)).toBe(everything || last.some((each) => each === name));
        expect(isSubscribed(end, "*")).toBe(everything);
      }),
    );
  });

  it("property: delta: the names are those that were added and not taken away, and equal names are one set", () => {
    const change = fc.record({ subscribe: names, unsubscribe: names });
    const follow = (changes: readonly { subscribe: string[]; unsubscribe: string[] }[]) =>
      changes.reduce(
        (state, each, index) => changeSubscription(state, { ...each, first: index === 0 }, false),
        INITIAL_SUBSCRIPTION,
      );
    fc.assert(
      fc.property(fc.array(change, { maxLength: 6 }), (changes) => {
        const model = new Set<string>();
        for (const { subscribe, unsubscribe } of changes) {
          for (const name of unsubscribe) model.delete(name);
          for (const name of subscribe) model.add(name);
        }
        const end = follow(changes);
        expect(end.wildcard).toBe(model.delete("*"));
        expect(new Set(end.names)).toEqual(model);
        const anew = follow([{ subscribe: [...model].reverse(), unsubscribe: [] }]);
        expect(anew.names).toBe(end.names);
      }),
    );
  });

  it("delta: names that only have the digest of others are not theirs", () => {
    // Two words that have the same FNV-1a.
    const subscribe = (name: string) =>
      changeSubscription(INITIAL_SUBSCRIPTION, { subscribe: [name], unsubscribe: [], first: true }, false);
    const [one, other] = [subscribe("costarring"), subscribe("liquid")];
    expect(one.digest).toBe(other.digest);
    expect([...one.names]).toEqual(["costarring"]);
    expect([...other.names]).toEqual(["liquid"]);
  });
});
