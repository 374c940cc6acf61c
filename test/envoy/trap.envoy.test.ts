/** A trap in a filter's code costs one request and one VM; with FAIL_RELOAD Envoy builds a new VM and goes on. */
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import {
  cluster,
  EnvoyProcess,
  httpListener,
  projectRoot,
  staticBootstrap,
  waitFor,
  wasmFilter,
} from "../../envoy/harness/index.ts";
import { type Replica, startReplica } from "../../envoy/replica/index.ts";
import { ROUTER_WASM } from "./gateways.ts";
import { http1, json } from "./http-client.ts";

const CHAT = "/v1/chat/completions";
const body = JSON.stringify({ model: "gpt-4o", messages: [{ role: "user", content: "hello" }] });

let replica: Replica;
let envoy: EnvoyProcess;
let url: string;

beforeAll(async () => {
  replica = await startReplica({ name: "r1", models: ["gpt-4o-mini"] });
  const httpFilters = [
    wasmFilter({ name: "trapper", file: join(projectRoot(), "build/test-wasm/trapper.wasm"), vmId: "trapper" }),
    wasmFilter({
      name: "llm-router",
      file: ROUTER_WASM,
      configuration: { models: [{ model: "gpt-4o", route: "gpt", upstreamModel: "gpt-4o-mini" }] },
    }),
  ];
  const bootstrap = staticBootstrap({
    listeners: [httpListener({ name: "llm", httpFilters, routes: [{ cluster: "r1" }] })],
    clusters: [cluster({ name: "r1", targets: [replica.port] })],
  });
  envoy = await EnvoyProcess.start({ bootstrap, allowErrors: [/\[wasm\]/] });
  url = `http://${await envoy.listenerAddress("llm")}`;
});
afterAll(async () => {
  await envoy?.stop();
  await replica?.close();
});

test.each(["assert", "bounds", "unreachable"])("%s: 503 for that request, then a new VM", async (kind) => {
  const before = await http1(url, { path: CHAT, body });
  expect([before.status, before.headers["x-trapper"]]).toEqual([200, "alive"]);
  const reloads = async (): Promise<number> => {
    const stats = await envoy.admin.stats("vm_reload_success");
    return [...stats].find(([name]) => name.includes("trapper"))?.[1] ?? 0;
  };
  const reloadsBefore = await reloads();

  const trapped = await http1(url, { path: CHAT, body, headers: { "x-trap": kind } });
  expect(trapped.status).toBe(503);

  const recovered = await waitFor(
    async () => {
      const answer = await http1(url, { path: CHAT, body });
      return answer.status === 200 ? answer : undefined;
    },
    { timeoutMs: 15_000, what: "an answer after the trap" },
  );
  expect(recovered.headers["x-trapper"]).toBe("alive");
  expect(json(recovered)).toMatchObject({ model: "gpt-4o-mini" }); // the other filter went on with its own VM
  expect(await reloads()).toBe(reloadsBefore + 1);
});

test("the trap of an assertion is logged with its message, file and line", () => {
  expect(envoy.log.find(/trap on purpose/)[0]?.message).toMatch(/trapper\.ts:\d+/);
});
