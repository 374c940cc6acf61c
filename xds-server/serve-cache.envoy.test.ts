import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { type EnvoyProcess, versionsUnderTest, waitFor } from "../envoy/harness/index.ts";
import { type Replica, startReplica } from "../envoy/replica/index.ts";
import { http1 } from "../test/envoy/http-client.ts";
import { gatewayAddress, modelsGateway, startEnvoy } from "../test/envoy/models-gateway.ts";
import { ModelServer, noModelReason } from "../test/fixtures/embeddings/model-server.ts";
import { type RunningServer, startServer } from "./index.ts";
import { silentLogger } from "./log.ts";

/** A PromptCache from YAML to two Envoys that share its answers through this server; purges that reach both; a server that goes away. */

/** Within which a purge has to be everywhere, in ms. */
const PURGED_WITHIN = 1_000;

const config = (replica: Replica, service: boolean, rule = "{name: all, key: []}") => `${modelsGateway(replica.port)}
apiVersion: tokenmesh.io/v1alpha1
kind: PromptCache
metadata: {name: answers}
spec:
  tenantHeader: x-team
  service: ${service ? "{timeoutMs: 5000}" : "false"}
  rules: [${rule}]
`;

describe.each(versionsUnderTest())("a PromptCache in real Envoys, %s", (version) => {
  let dir: string;
  let replica: Replica;
  let server: RunningServer;
  let envoys: EnvoyProcess[];

  beforeEach(async () => {
    envoys = [];
    dir = mkdtempSync(join(tmpdir(), "tokenmesh-cache-"));
    replica = await startReplica({ name: "a", models: ["m", "n"] });
  });
  afterEach(async () => {
    for (const envoy of envoys) await envoy.stop();
    await server.close();
    await replica.close();
    rmSync(dir, { recursive: true, force: true });
  });

  async function start(service: boolean, count: number, semantic?: string): Promise<void> {
    const rule = semantic === undefined ? undefined : "{name: all, key: [], semantic: true}";
    writeFileSync(join(dir, "a.yaml"), config(replica, service, rule));
    const answers = semantic === undefined ? {} : { answers: { semantic: { url: semantic, timeoutMs: 5_000 } } };
    server = await startServer({ configDir: dir, log: silentLogger, ...answers });
    expect(server.configErrors()).toEqual([]);
    for (let i = 0; i < count; i++) {
      envoys.push(await startEnvoy(version, server.xdsAddress, `cache-${i}`));
    }
    for (const envoy of envoys) await gatewayAddress(envoy);
  }

  async function ask(place: number, text: string, { model = "m", team = "a" } = {}): Promise<string> {
    const envoy = envoys[place];
    if (envoy === undefined) throw new Error(`there is no Envoy ${place}`);
    const { status, headers } = await http1(`http://${await gatewayAddress(envoy)}`, {
      path: "/v1/chat/completions",
      // One address of both, as behind a load balancer: the host is part of what an answer is kept under.
      headers: { host: "llm.test", "content-type": "application/json", "x-team": team },
      body: JSON.stringify({ model, messages: [{ role: "user", content: text }], max_tokens: 4 }),
    });
    return `${status} ${headers["x-llm-cache"]}`;
  }

  const purge = async (target: object): Promise<void> => {
    const answer = await fetch(`http://${server.apiAddress}/cache/purge`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify(target),
    });
    expect(answer.status).toBe(200);
  };
  const listeners = async (): Promise<string[]> => {
    const view = (await (await fetch(`http://${server.apiAddress}/cache`)).json()) as { purges: { envoys: object } };
    return Object.keys(view.purges.envoys);
  };
  /** Counts at the service: what was put there goes its way behind the answer. */
  const stored = async (count: number) => {
    const puts = /^tokenmesh_answers_puts_total\{[^}]*stored[^}]*\} (\d+)/m;
    const enough = async () =>
      Number(puts.exec(await (await fetch(`http://${server.apiAddress}/metrics`)).text())?.[1] ?? 0) >= count;
    await waitFor(enough, { what: `${count} answers at the service` });
  };

  it("share their answers", async () => {
    await start(true, 2);
    expect(await ask(0, "one")).toBe("200 miss");
    await stored(1);
    expect(await ask(1, "one")).toBe("200 hit");
    expect(await ask(1, "one", { team: "b" })).toBe("200 miss");
    expect(replica.requests.length).toBe(2);
    const shared = "wasmcustom.tokenmesh_cache_requests;rule=all;outcome=shared";
    const counted = async () => [...((await envoys[1]?.admin.stats("tokenmesh_cache_requests")) ?? [])];
    await waitFor(async () => (await counted()).some(([name, value]) => name.includes("shared") && value === 1), {
      what: shared,
    });
  });

  it("forget what was purged, within a second, whether they share or not", async () => {
    await start(false, 2);
    await waitFor(async () => (await listeners()).length === 2, { what: "both Envoys to listen for purges" });
    for (const [target, stays] of [
      [{ model: "m" }, "n"],
      [{ tenant: "a" }, undefined],
      [{ all: true }, undefined],
    ] as const) {
      for (const place of [0, 1]) for (const model of ["m", "n"]) await ask(place, "purge", { model });
      for (const place of [0, 1]) expect(await ask(place, "purge")).toBe("200 hit");
      const purgedAt = performance.now();
      await purge(target);
      const gone = (place: number, model: string) =>
        waitFor(async () => (await ask(place, "purge", { model })) === "200 miss", {
          what: `the answer of ${model} to be gone`,
        });
      for (const place of [0, 1]) await gone(place, "m");
      for (const place of [0, 1]) if (stays === undefined) await gone(place, "n");
      expect(performance.now() - purgedAt).toBeLessThan(PURGED_WITHIN);
      for (const place of [0, 1]) if (stays === "n") expect(await ask(place, "purge", { model: "n" })).toBe("200 hit");
    }
  });

  it("answer a question like another, by a real model", async ({ skip }) => {
    const reason = noModelReason();
    if (reason !== undefined) skip(reason);
    const model = await ModelServer.start();
    try {
      await start(true, 2, model.url);
      expect(await ask(0, "How do I reset my password?")).toBe("200 miss");
      const similar = async () => (await ask(1, "How can I reset my password?")) === "200 hit";
      // Its embedding is made behind the answer.
      await waitFor(similar, { timeoutMs: 20_000, what: "the answer to a question like it" });
      for (const [text, team] of [
        ["How do I change my password?", "a"],
        ["How can I reset my password?", "b"],
      ] as const) {
        expect([text, team, await ask(1, text, { team })]).toEqual([text, team, "200 miss"]);
      }
    } finally {
      await model.stop();
    }
  });

  it("go on without the server", async () => {
    await start(true, 1);
    expect(await ask(0, "before")).toBe("200 miss");
    await server.close();
    expect(await ask(0, "before")).toBe("200 hit");
    expect(await ask(0, "behind")).toBe("200 miss");
    expect(await ask(0, "behind")).toBe("200 hit");
  });
});
