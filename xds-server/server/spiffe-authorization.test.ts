import { describe, expect, it } from "vitest";
import { nodeIdentity } from "../cache/index.ts";
import { parseSpiffeRule, spiffeAuthorization } from "./spiffe-authorization.ts";

const NODE = nodeIdentity("n", "c");

function may(rules: readonly string[], spiffeId: string | undefined, group: string): boolean {
  const peer = { address: "", tls: true, ...(spiffeId === undefined ? {} : { spiffeId }) };
  return spiffeAuthorization(rules.map(parseSpiffeRule))(peer, NODE, group) === undefined;
}

describe("node groups by SPIFFE id", () => {
  it.each([
    [["spiffe://a/ns/x=edge"], "spiffe://a/ns/x", "edge", true],
    [["spiffe://a/ns/x=edge"], "spiffe://a/ns/x", "core", false],
    [["spiffe://a/ns/x=edge"], "spiffe://a/ns/xy", "edge", false],
    [["spiffe://a/ns/*=edge,core"], "spiffe://a/ns/x", "core", true],
    [["spiffe://a/ns/*=edge"], "spiffe://a/nsx", "edge", false],
    [["spiffe://a/ns/*=edge"], "spiffe://a/ns", "edge", false],
    [["spiffe://a/*=*"], "spiffe://a/x/y/z", "any", true],
    [["spiffe://a/*=*"], "spiffe://ab/x", "any", false],
    [["spiffe://a/x=edge", "spiffe://a/*=core"], "spiffe://a/x", "core", true],
    [["spiffe://a/*=*"], undefined, "any", false],
    [[], "spiffe://a/x", "any", false],
  ] as const)("%j: %s for %s: %s", (rules, id, group, expected) => {
    expect(may(rules, id, group)).toBe(expected);
  });

  it("says why not", () => {
    const authorize = spiffeAuthorization([parseSpiffeRule("spiffe://a/x=edge")]);
    const peer = { address: "", tls: true, spiffeId: "spiffe://a/x" };
    expect(authorize(peer, NODE, "core")).toBe("spiffe://a/x may not be served node group core");
  });

  it.each(["", "x=y", "spiffe://a/x", "spiffe://a/x=", "spiffe://a/x=a,,b", "spiffe://a/x*=g", "spiffe://a b/x=g"])(
    "refuses %j",
    (text) => {
      expect(() => parseSpiffeRule(text)).toThrow("TM_USAGE");
    },
  );
});
