import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { INITIAL_SUBSCRIPTION, isSubscribed, updateSubscription } from "./subscription.ts";

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
});
