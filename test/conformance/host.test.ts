import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { LoadError, ProxyWasmHost } from "../host/index.ts";
import { hostDriver } from "./host-driver.ts";
import { refusals, renamed } from "./process-facts.ts";
import { factIn } from "./scenario.ts";
import { checkWithDeviation, conformanceSuite, deviationOf, deviationsAreReal } from "./suite.ts";
import { firstConfig, updateSuite } from "./update-suite.ts";

conformanceSuite("host", hostDriver);
updateSuite("host", async () => {
  const host = await ProxyWasmHost.load("build/test-wasm/probe.wasm");
  const plugin = host.plugin({ config: firstConfig });
  return {
    rootFacts: () => host.logs.map(({ message }) => factIn(message)?.fact ?? ""),
    update: async (config) => plugin.update(config).accepted,
    async request() {
      const stream = plugin.exchange({ headers: { ":method": "GET", ":path": "/", ":authority": "x" } });
      return Number(stream.downstream.headers?.get(":status"));
    },
    stop: async () => plugin.remove(),
  };
});
deviationsAreReal();

describe("the host refuses", () => {
  test.each(refusals)("$name", async ({ module, rename, config = "", says }) => {
    const code = readFileSync(`build/test-wasm/${module}.wasm`);
    const load = async () => (await ProxyWasmHost.load(rename ? renamed(code, rename) : code)).plugin({ config });
    await expect(load()).rejects.toThrow(LoadError);
    await expect(load()).rejects.toThrow(says);
  });

  test("nothing about the module as it is", async () => {
    expect(
      (await ProxyWasmHost.load(readFileSync("build/test-wasm/probe.wasm"))).plugin({ config: "plain" }),
    ).toBeDefined();
  });
});

describe("known deviations", () => {
  const known = { scenario: "x", on: ["envoy 1.36.4"], reason: "because" };
  test("apply to their targets only", () => {
    expect(deviationOf("x", "envoy 1.36.4", [known])).toBe(known);
    expect(deviationOf("x", "envoy 1.40.0", [known])).toBeUndefined();
    expect(deviationOf("x", "envoy 1.40.0", [{ ...known, on: ["envoy"] }])).toBeDefined();
    expect(deviationOf("y", "envoy 1.36.4", [known])).toBeUndefined();
  });
  test("fail when they are gone, and excuse a failure while they are there", async () => {
    await expect(checkWithDeviation(known, async () => undefined)).rejects.toThrow(/no longer deviates/);
    await checkWithDeviation(known, () => Promise.reject(new Error("differs")));
    await expect(checkWithDeviation(undefined, () => Promise.reject(new Error("differs")))).rejects.toThrow("differs");
  });
});
