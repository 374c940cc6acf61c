import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { LoadError, ProxyWasmHost } from "../host/index.ts";
import "../host/matchers.ts";

/** The example of docs/write-a-filter.md, as printed there. */

const root = new URL("../..", import.meta.url).pathname;

describe("docs/write-a-filter.md", () => {
  it("prints the filter that is tested here", () => {
    const guide = readFileSync(`${root}docs/write-a-filter.md`, "utf8");
    const printed = /```ts\n([\s\S]*?)```/.exec(guide)?.[1];
    const tested = readFileSync(`${root}test/sdk/wasm/guide-filter.ts`, "utf8");
    expect(printed?.replaceAll('"../sdk', '"../../../filters/sdk')).toBe(tested);
  });

  it("works as the page says", async () => {
    const host = await ProxyWasmHost.load("build/test-wasm/guide-filter.wasm", { workers: 1 });
    const plugin = host.plugin({ name: "region", rootId: "region", config: "eu-west" });
    const stream = plugin.exchange({ headers: { ":method": "GET", ":path": "/", ":authority": "x" } });
    expect(stream).toHaveHeader("response", "x-region", "eu-west");
    expect(Number(host.metrics.get("region_answers"))).toBe(1);
  });

  it("refuses to run without a configuration", async () => {
    const host = await ProxyWasmHost.load("build/test-wasm/guide-filter.wasm", { workers: 1 });
    expect(() => host.plugin({ name: "region", rootId: "region", config: "" })).toThrow(LoadError);
  });
});
