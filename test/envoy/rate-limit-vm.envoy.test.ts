/** Budgets outlive the VMs that count them: a VM that traps and is replaced, and a listener that changes while it runs. */
import { mkdtemp, rename, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, onTestFinished, test } from "vitest";
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
import { startReplica } from "../../envoy/replica/index.ts";
import { WASM_DIR } from "./gateways.ts";
import { http1 } from "./http-client.ts";
import { chat, chatBody, left, leftAtLast, MODELS, PROBE, startLimited } from "./rate-limit-traffic.ts";

const LIMIT = 100_000;
const TEAM = "a";
const rules = (amount: number): JsonObject => ({
  rules: [{ name: "team", key: [{ header: "x-team" }], limits: [{ unit: "tokens", amount, per: "day" }] }],
});

describe.each(versionsUnderTest())("Envoy %s", (version) => {
  test("a VM that traps leaves what was counted, and what its request had reserved, to the next", async () => {
    const gateway = await startLimited({
      ...{ version, config: rules(LIMIT) },
      plugin: {
        name: "trapping-limiter",
        file: join(projectRoot(), "build/test-wasm/trapping-limiter.wasm"),
        vmId: "limits",
      },
      allowErrors: [/\[wasm\]/],
    });
    onTestFinished(() => gateway.close());
    const { used } = await chat(gateway.url, TEAM, chatBody(400, 50));
    await leftAtLast(gateway.url, TEAM, (found) => found === LIMIT - used);
    const headers = { "x-team": TEAM, "x-trap": "now" };
    const trapped = await http1(gateway.url, { path: "/v1/chat/completions", headers, body: chatBody(0, 7_000) });
    expect(trapped.status).toBe(503);
    const answered = async () => (await chat(gateway.url, "another", chatBody(0, 1))).status === 200;
    await waitFor(answered, { what: "a new VM" });
    const reloads = await gateway.envoy.admin.stats("vm_reload_success");
    expect([...reloads].map(([, count]) => count)).toEqual([1]);
    expect(await left(gateway.url, TEAM)).toBe(LIMIT - used - PROBE - 7_000);
  });

  test("a listener that changes while it runs goes on with its budgets, also in new VMs", async () => {
    const replica = await startReplica({ name: "r1", models: MODELS, prefixCache: false });
    onTestFinished(() => replica.close());
    const folder = await mkdtemp(join(tmpdir(), "tokenmesh-limits-"));
    onTestFinished(() => rm(folder, { recursive: true, force: true }));
    const path = join(folder, "listeners.json");
    const write = async (amount: number, vmConfiguration: string): Promise<void> => {
      const filter = wasmFilter({
        name: "token-rate-limit",
        file: join(WASM_DIR, "token-rate-limit.wasm"),
        ...{ configuration: rules(amount), vmId: "limits", vmConfiguration },
      });
      const listener = httpListener({ name: "llm", httpFilters: [filter], routes: [{ cluster: "r1" }] });
      const resources = [{ "@type": "type.googleapis.com/envoy.config.listener.v3.Listener", ...listener }];
      await writeFile(`${path}.new`, JSON.stringify({ resources }));
      await rename(`${path}.new`, path);
    };
    await write(LIMIT, "one");
    const bootstrap = {
      ...staticBootstrap({
        node: { id: "limits", cluster: "test" },
        listeners: [],
        clusters: [cluster({ name: "r1", targets: [replica.port] })],
      }),
      dynamic_resources: { lds_config: { resource_api_version: "V3", path_config_source: { path } } },
    };
    const envoy = await EnvoyProcess.start({ bootstrap, version, concurrency: 2 });
    onTestFinished(() => envoy.stop());
    const url = async (): Promise<string> => `http://${await envoy.listenerAddress("llm")}`;
    const made = async () => (await envoy.admin.stats("wasm.envoy.wasm.runtime.v8.created")).values().next().value ?? 0;
    let used = (await chat(await url(), TEAM, chatBody(400, 50))).used;
    for (const [amount, vmConfiguration] of [
      [LIMIT / 2, "one"],
      [LIMIT * 2, "two"],
    ] as const) {
      const before = await made();
      await write(amount, vmConfiguration);
      await waitFor(async () => (await chat(await url(), "another", chatBody(0, 1))).limit === amount, {
        what: "the new listener",
      });
      used += (await chat(await url(), TEAM, chatBody(400, 50))).used;
      expect(await leftAtLast(await url(), TEAM, (found) => found === amount - used)).toBe(amount - used);
      used += PROBE;
      // Another configuration of the VM is another VM: for the main thread and both workers, and two to try it.
      expect((await made()) - before).toBe(vmConfiguration === "one" ? 1 : 5);
    }
  });
});
