/** The YAML that the documents print does what they say: the README's LLMRouter for the server and the filter, the guide's filter in Envoy. */
import { readFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { expect, test } from "vitest";
import { parse } from "yaml";
import {
  cluster,
  EnvoyProcess,
  httpListener,
  type JsonObject,
  projectRoot,
  staticBootstrap,
} from "../../envoy/harness/index.ts";
import { parseConfig } from "../../xds-server/config/index.ts";
import { ProxyWasmHost } from "../host/index.ts";

const yamlOf = (document: string): string[] =>
  [...readFileSync(`${projectRoot()}/${document}`, "utf8").matchAll(/```yaml\n([\s\S]*?)```/g)].map(
    ([, text]) => text ?? "",
  );

test("README.md: the LLMRouter is accepted by server and filter, and routes as it says", async () => {
  const [text = ""] = yamlOf("README.md");
  const gateway = [
    "apiVersion: networking.istio.io/v1",
    "kind: Gateway",
    "metadata: {name: llm}",
    'spec: {servers: [{port: {number: 80, name: http, protocol: HTTP}, hosts: ["*"]}]}',
  ].join("\n");
  expect(parseConfig([{ file: "README.yaml", text: `${gateway}\n---\n${text}` }])).toMatchObject({ ok: true });

  const host = await ProxyWasmHost.load(`${projectRoot()}/build/filters/llm-router.wasm`, { workers: 1 });
  const { spec } = parse(text) as { spec: object };
  const plugin = host.plugin({ name: "llm-router", rootId: "llm-router", config: spec });
  const routes = ["gpt-4o", "llama-3", "another"].map((model) => {
    const headers = { ":method": "POST", ":path": "/v1/chat/completions", ":authority": "x" };
    const { upstream } = plugin.exchange({ headers, body: [JSON.stringify({ model })] });
    return [upstream.headers?.get("x-llm-route"), upstream.text];
  });
  expect(routes).toEqual([
    ["gpt", '{"model":"gpt-4o-2024-08-06"}'],
    ["llama", '{"model":"llama-3"}'],
    ["other", '{"model":"another"}'],
  ]);
});

test("README.md: the rules do what they say", async () => {
  const [, text = ""] = yamlOf("README.md");
  const { spec } = parse(text) as { spec: object };
  const host = await ProxyWasmHost.load(`${projectRoot()}/build/filters/llm-router.wasm`, {
    workers: 1,
    environmentVariables: { OPENAI_API_KEY: "key-of-openai", AZURE_KEY: "key-of-azure" },
  });
  const plugin = host.plugin({ name: "llm-router", rootId: "llm-router", config: spec });
  const cluster = (content: string): string | undefined =>
    plugin
      .exchange({
        headers: { ":method": "POST", ":path": "/v1/chat/completions", ":authority": "x" },
        body: [JSON.stringify({ model: "gpt-4o", messages: [{ role: "user", content }] })],
      })
      .upstream.headers?.get("x-llm-cluster");
  expect(["openai+vllm", "azure+vllm"]).toContain(cluster("hello"));
  expect(cluster("x".repeat(128_000))).toBe("vllm");
});

test("docs/write-a-filter.md: the example runs in Envoy with the printed configuration", async () => {
  const [text = ""] = yamlOf("docs/write-a-filter.md");
  const printed = "build/filters/region.wasm";
  expect(text).toContain(printed);
  const file = `${projectRoot()}/build/test-wasm/guide-filter.wasm`;
  const { http_filters: httpFilters } = parse(text.replace(printed, file)) as { http_filters: JsonObject[] };
  const upstream = createServer((_request, answer) => answer.end("ok"));
  await new Promise<void>((resolve) => upstream.listen(0, "127.0.0.1", resolve));
  try {
    const { port } = upstream.address() as AddressInfo;
    await using envoy = await EnvoyProcess.start({
      bootstrap: staticBootstrap({
        listeners: [httpListener({ name: "main", routes: [{ cluster: "a" }], httpFilters })],
        clusters: [cluster({ name: "a", targets: [port] })],
      }),
    });
    const answer = await fetch(`http://${await envoy.listenerAddress("main")}/`);
    expect([answer.status, await answer.text(), answer.headers.get("x-region")]).toEqual([200, "ok", "eu-west"]);
  } finally {
    upstream.closeAllConnections();
    upstream.close();
  }
});
