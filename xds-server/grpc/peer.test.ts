import { describe, expect, it } from "vitest";
import { spiffeIdOf } from "./peer.ts";

describe("SPIFFE id among alternative names", () => {
  it.each([
    ["URI:spiffe://a.test/ns/x/sa/y", "spiffe://a.test/ns/x/sa/y"],
    ["DNS:a.test, IP Address:127.0.0.1, URI:spiffe://a.test/x", "spiffe://a.test/x"],
  ])("%s", (names, id) => {
    expect(spiffeIdOf(names)).toBe(id);
  });

  it.each([
    ["", "no name"],
    ["DNS:a.test", "no URI"],
    ["URI:https://a.test/x", "another scheme"],
    ["URI:spiffe://a.test/x, URI:spiffe://a.test/y", "two URIs"],
    ["URI:spiffe://a.test/x, URI:https://a.test", "two URIs of which one is an id"],
    ['DNS:"a.test, URI:spiffe://a.test/x"', "an id inside of a quoted name"],
    ['URI:"spiffe://a.test/x\\u0000y"', "a quoted URI"],
    ["URI:spiffe://A.test/x", "capitals in the trust domain"],
    ["URI:spiffe://a.test", "no path"],
    ["URI:spiffe://a.test/x/../y", "a path with dots"],
    ["URI:spiffe://a.test/x/", "an empty segment"],
    ["URI:spiffe://a.test:80/x", "a port"],
    ["URI:spiffe://a.test/x?y", "a query"],
    [`URI:spiffe://a.test/${"x".repeat(2_048)}`, "too long"],
  ])("%s is none: %s", (names) => {
    expect(spiffeIdOf(names)).toBeUndefined();
  });
});
