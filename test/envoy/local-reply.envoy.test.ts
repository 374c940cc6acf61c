/** Answers that Envoy gives itself, in the shape of the API that was called, on every version. */
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import {
  cluster,
  EnvoyProcess,
  httpListener,
  staticBootstrap,
  versionsUnderTest,
  wasmFilter,
} from "../../envoy/harness/index.ts";
import { ROUTER_WASM } from "./gateways.ts";
import { http1, http2, json } from "./http-client.ts";

const ROUTES = ["silent", "empty", "full", "unknown"];
const SHAPES: [path: (model: string) => string, error: (status: number, code: string, type: string) => object][] = [
  [() => "/v1/chat/completions", (_, code) => ({ error: { code } })],
  [() => "/v1/messages", (_, __, type) => ({ type: "error", error: { type } })],
  [(model) => `/v1beta/models/${model}:generateContent`, (code) => ({ error: { code } })],
];

describe.each(versionsUnderTest())("Envoy %s", (version) => {
  let envoy: EnvoyProcess;
  let url: string;
  /** Takes requests and never answers. */
  const silent = createServer(() => {});

  beforeAll(async () => {
    await new Promise<void>((resolve) => silent.listen(0, "127.0.0.1", resolve));
    const { port } = silent.address() as AddressInfo;
    const filter = wasmFilter({
      name: "llm-router",
      file: ROUTER_WASM,
      configuration: { models: [...ROUTES, "nowhere"].map((route) => ({ model: route, route })) },
    });
    const routes = ROUTES.map((name) => ({
      // A cluster that Envoy does not know can only be named by a header.
      cluster: name === "unknown" ? { header: "x-llm-route" } : name,
      headers: { "x-llm-route": name },
      ...(name === "silent" ? { timeout: "0.2s" } : {}),
    }));
    const bootstrap = staticBootstrap({
      listeners: [httpListener({ name: "llm", httpFilters: [filter], routes, bufferLimitBytes: 32 * 1024 })],
      clusters: [
        cluster({ name: "silent", targets: [port] }),
        cluster({ name: "empty", targets: [] }),
        cluster({
          name: "full",
          targets: [port],
          cluster: { circuit_breakers: { thresholds: [{ max_requests: 0 }] } },
        }),
      ],
    });
    envoy = await EnvoyProcess.start({ bootstrap, version });
    url = `http://${await envoy.listenerAddress("llm")}`;
  });
  afterAll(async () => {
    await envoy?.stop();
    silent.closeAllConnections();
    await new Promise((resolve) => silent.close(resolve));
  });

  test.each([
    ["silent", 504, "upstream_timeout", "timeout_error"],
    ["empty", 503, "no_healthy_upstream", "overloaded_error"],
    ["full", 503, "upstream_overloaded", "overloaded_error"],
    ["unknown", 503, "cluster_unknown", "api_error"],
    ["nowhere", 404, "route_unknown", "not_found_error"],
  ])("%s: %i %s", async (model, status, code, type) => {
    for (const client of [http1, http2]) {
      for (const [path, error] of SHAPES) {
        const answer = await client(url, { path: path(model), body: JSON.stringify({ model, messages: [] }) });
        expect([answer.status, answer.headers["content-type"]]).toEqual([status, "application/json"]);
        expect(json(answer)).toMatchObject(error(status, code, type));
        expect(answer.headers["content-length"]).toBe(String(answer.body.length));
      }
    }
  });

  test("a body over the listener's buffer limit", async () => {
    const body = JSON.stringify({ model: "silent", messages: [{ role: "user", content: "x".repeat(200_000) }] });
    const answer = await http1(url, { path: "/v1/chat/completions", body });
    expect(answer.status).toBe(413);
    expect(json(answer)).toMatchObject({ error: { code: "body_too_large" } });
  });

  test("what is no LLM call gets Envoy's own words", async () => {
    const answer = await http1(url, { path: "/other", body: "{}" });
    expect([answer.status, answer.body.length]).toEqual([404, 0]);
  });
});
