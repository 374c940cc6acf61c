import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { canonicalName, collectionOf, isCollection } from "./resource-name.ts";

const CLUSTERS = "xdstp://auth/envoy.config.cluster.v3.Cluster";

describe("resource names", () => {
  it.each([
    ["plain|80||name?b=1&a=2", "plain|80||name?b=1&a=2"],
    [`${CLUSTERS}/foo/bar`, `${CLUSTERS}/foo/bar`],
    [`${CLUSTERS}/foo/bar?b=1&a=2`, `${CLUSTERS}/foo/bar?a=2&b=1`],
    [`${CLUSTERS}/foo/bar?`, `${CLUSTERS}/foo/bar`],
    [`${CLUSTERS}/foo/bar?b=1&a=2#entry=x`, `${CLUSTERS}/foo/bar?a=2&b=1`],
    [`${CLUSTERS}/foo/bar#alt=y?z`, `${CLUSTERS}/foo/bar`],
  ])("of %s is %s", (name, canonical) => {
    expect(canonicalName(name)).toBe(canonical);
  });

  it("knows the collection of a name, context included, and only of xdstp names", () => {
    expect(collectionOf(`${CLUSTERS}/foo/bar?a=1`)).toBe(`${CLUSTERS}/foo/*?a=1`);
    expect(collectionOf(`${CLUSTERS}/foo/bar/baz`)).toBe(`${CLUSTERS}/foo/bar/*`);
    expect(collectionOf("foo/bar")).toBeUndefined();
    expect(collectionOf("xdstp://")).toBeUndefined();
  });

  it("tells collections from names", () => {
    expect(isCollection(`${CLUSTERS}/foo/*`)).toBe(true);
    expect(isCollection(`${CLUSTERS}/foo/*?a=1`)).toBe(true);
    expect(isCollection(`${CLUSTERS}/foo/a?b=/*`)).toBe(false);
    expect(isCollection("foo/*")).toBe(false);
  });

  it("property: canonical names are stable under any order of the parameters", () => {
    const parameters = fc.uniqueArray(fc.stringMatching(/^[a-z]{1,3}=[a-z0-9]{0,3}$/), { minLength: 1, maxLength: 6 });
    fc.assert(
      fc.property(parameters, (list) => {
        const one = canonicalName(`${CLUSTERS}/x?${list.join("&")}`);
        expect(canonicalName(`${CLUSTERS}/x?${[...list].reverse().join("&")}`)).toBe(one);
        expect(canonicalName(one)).toBe(one);
      }),
    );
  });
});
