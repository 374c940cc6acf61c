/** The limiter's statistics as Prometheus sees them, with the `stats_config` that users copy. */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { parse } from "yaml";
import {
  cluster,
  EnvoyProcess,
  httpListener,
  type JsonObject,
  projectRoot,
  staticBootstrap,
  versionsUnderTest,
  waitFor,
  wasmFilter,
} from "../../envoy/harness/index.ts";
import { type Replica, startReplica } from "../../envoy/replica/index.ts";
import { WASM_DIR } from "./gateways.ts";
import { http1 } from "./http-client.ts";

const body = JSON.stringify({ model: "gpt-4.1", messages: [{ role: "user", content: "hello" }], max_tokens: 5 });

describe.each(versionsUnderTest())("Envoy %s", (version) => {
  let envoy: EnvoyProcess;
  let replica: Replica;

  beforeAll(async () => {
    replica = await startReplica({ name: "r1", models: ["gpt-4.1"] });
    const text = await readFile(join(projectRoot(), "envoy/standalone/envoy.yaml"), "utf8");
    const { stats_config: stats } = parse(text) as { stats_config: JsonObject };
    const filter = wasmFilter({
      name: "token-rate-limit",
      file: join(WASM_DIR, "token-rate-limit.wasm"),
      configuration: { rules: [{ name: "all", limits: [{ unit: "requests", amount: 2, per: "day" }] }] },
    });
    const bootstrap = staticBootstrap({
      listeners: [httpListener({ name: "llm", httpFilters: [filter], routes: [{ cluster: "r1" }] })],
      clusters: [cluster({ name: "r1", targets: [replica.port] })],
      stats,
    });
    envoy = await EnvoyProcess.start({ bootstrap, version });
  });
  afterAll(async () => {
    await envoy?.stop();
    await replica?.close();
  });

  const series = async (): Promise<string[]> => {
    const text = await envoy.admin.get("/stats/prometheus");
    return text.split("\n").filter((line) => line.startsWith("tokenmesh_rate_limit_"));
  };

  test("rules, outcomes, kinds and events are labels", async () => {
    const url = `http://${await envoy.listenerAddress("llm")}`;
    const statuses: number[] = [];
    for (let i = 0; i < 3; i++) statuses.push((await http1(url, { path: "/v1/chat/completions", body })).status);
    expect(statuses).toEqual([200, 200, 429]);
    await waitFor(async () => (await series()).some((line) => /refused.* 1$/.test(line)), { what: "the counters" });
    expect(await series()).toEqual(
      expect.arrayContaining([
        'tokenmesh_rate_limit_requests{tokenmesh_rule="all",tokenmesh_outcome="admitted"} 2',
        'tokenmesh_rate_limit_requests{tokenmesh_rule="all",tokenmesh_outcome="refused"} 1',
        'tokenmesh_rate_limit_requests{tokenmesh_rule="all",tokenmesh_outcome="key_missing"} 0',
        'tokenmesh_rate_limit_store{tokenmesh_event="evicted_live"} 0',
        "tokenmesh_rate_limit_rules{} 1",
      ]),
    );
    expect(await series()).toContainEqual(
      expect.stringMatching(/^tokenmesh_rate_limit_tokens\{tokenmesh_rule="all",tokenmesh_kind="used"\} \d+$/),
    );
  });
});
