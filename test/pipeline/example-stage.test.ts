import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { type Plugin, ProxyWasmHost } from "../host/index.ts";
import "../host/matchers.ts";

/** docs/write-a-stage.md: what it shows is what is built here, and it works beside the router. */

const root = new URL("../..", import.meta.url).pathname;

async function example(imageLimit?: number): Promise<Plugin> {
  const host = await ProxyWasmHost.load("build/test-wasm/example-stage.wasm", { workers: 1 });
  return host.plugin({
    name: "example",
    rootId: "example",
    config: { ...(imageLimit === undefined ? {} : { imageLimit }), router: { models: [{ model: "*", route: "all" }] } },
    allowOnHeadersStopIteration: true,
  });
}

const image = { type: "image_url", image_url: { url: "data:image/png;base64,AA==" } };

function ask(plugin: Plugin, images: number, path = "/v1/chat/completions") {
  const body = JSON.stringify({ model: "m", messages: [{ role: "user", content: Array(images).fill(image) }] });
  return plugin.exchange({
    headers: [
      [":method", "POST"],
      [":path", path],
      [":authority", "a"],
    ],
    body: [body],
  });
}

describe("the stage of docs/write-a-stage.md", () => {
  it("is the one that is tested here, to the letter", () => {
    const tested = readFileSync(`${root}test/pipeline/wasm/example-stage.ts`, "utf8");
    const blocks = [...readFileSync(`${root}docs/write-a-stage.md`, "utf8").matchAll(/```ts\n([\s\S]*?)```/g)];
    expect(blocks).toHaveLength(2);
    for (const [, code] of blocks) expect(tested).toContain(code);
  });

  it("answers by itself and leaves everything else to the router", async () => {
    const plugin = await example(2);
    expect(ask(plugin, 3)).toHaveSentLocalResponse(400, /too_many_images/);
    expect(ask(plugin, 3, "/v1/messages")).toHaveSentLocalResponse(400, /"type":"error"/);
    expect(ask(plugin, 2).upstream.headers?.get("x-llm-route")).toBe("all");
  });

  it("does not run when its configuration is absent", async () => {
    expect(ask(await example(), 9).upstream.headers?.get("x-llm-route")).toBe("all");
  });
});
