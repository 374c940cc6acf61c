/** envoy/standalone/fallback.yaml as it is shipped; before Envoy 1.40 changed as its comments say. */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { parse } from "yaml";
import { EnvoyProcess, type JsonObject, projectRoot, waitFor } from "../../envoy/harness/index.ts";
import { type Replica, startReplica } from "../../envoy/replica/index.ts";
import { POOLS } from "./fallback-gateway.ts";
import { fallbackConfig } from "./gateways.ts";
import { http1, json } from "./http-client.ts";

const CHAT = "/v1/chat/completions";
const KEYS = { OPENAI_API_KEY: "key-of-openai", AZURE_API_KEY: "key-of-azure" };
const PROVIDERS = ["openai", "azure", "local"] as const;

const chat = (model: string, session: string): string =>
  JSON.stringify({ model, messages: [{ role: "user", content: "hello" }], prompt_cache_key: session });

/** What the comments of the file say of Envoy before 1.40. */
function withAggregateClusters(text: string): string {
  const lines = text.split("\n");
  const begin = lines.findIndex((line) => line.includes("With aggregate clusters (before 1.40)")) + 1;
  expect(begin).toBeGreaterThan(0);
  for (let i = begin; /^\s+# /.test(lines[i] ?? ""); i++) lines[i] = (lines[i] ?? "").replace("# ", "");
  const changed = lines
    .join("\n")
    .replaceAll(/^( +name: )envoy\.clusters\.composite$/gm, "$1envoy.clusters.aggregate")
    .replaceAll("clusters.composite.v3", "clusters.aggregate.v3")
    .replaceAll(/clusters: \[\{ name: (\w+) \}, \{ name: (\w+) \}\]/g, "clusters: [$1, $2]");
  expect(changed.match(/^ +name: envoy\.clusters\.aggregate$/gm)).toHaveLength(2);
  expect(changed.match(/^ +clusters: \[(openai|azure), local\]$/gm)).toHaveLength(2);
  expect(changed).toMatch(/^ +retry_policy:\n +retry_priority:$/m);
  return changed;
}

function setKeys(keys: Readonly<Record<string, string | undefined>>): void {
  for (const [name, value] of Object.entries(keys)) {
    if (value === undefined) delete process.env[name];
    else process.env[name] = value;
  }
}

describe.each(POOLS)("Envoy $version, $kind", ({ version, kind }) => {
  const own = { OPENAI_API_KEY: process.env.OPENAI_API_KEY, AZURE_API_KEY: process.env.AZURE_API_KEY };
  const replicas = new Map<string, Replica>();
  let envoy: EnvoyProcess;
  let url: string;
  let bootstrap: string;

  beforeAll(async () => {
    const models = { openai: ["gpt-4.1"], azure: ["gpt-4.1"], local: ["llama-3.3-70b"] };
    for (const name of PROVIDERS)
      replicas.set(name, await startReplica({ name, models: models[name], keepRequests: 1000 }));
    const port = (name: string): number => replicas.get(name)?.port ?? 0;
    const text = await fallbackConfig({ openai: port("openai"), azure: port("azure"), local: port("local") });
    bootstrap = kind === "aggregate" ? withAggregateClusters(text) : text;
    setKeys(KEYS);
    envoy = await EnvoyProcess.start({ version, bootstrap, args: ["--file-flush-interval-msec", "50"] });
    url = `http://${await envoy.listenerAddress("llm")}`;
  });
  afterEach(async () => {
    for (const replica of replicas.values()) {
      await replica.recover();
      replica.clearRequests();
    }
  });
  afterAll(async () => {
    setKeys(own);
    await envoy?.stop().finally(() => Promise.all([...replicas.values()].map((replica) => replica.close())));
  });

  const replica = (name: string): Replica => replicas.get(name) as Replica;
  const send = (model: string, session: string) =>
    http1(url, {
      path: CHAT,
      body: chat(model, session),
      headers: { authorization: "Bearer of-the-client", "content-type": "application/json" },
    });

  test("9 of 10 sessions go to openai, the others to azure, each with its key, host and path; a session stays", async () => {
    const sessions = Array.from({ length: 300 }, (_, i) => `session-${i}`);
    for (const session of [...sessions, ...sessions]) await send("gpt-4.1", session);
    const of = (name: string) =>
      replica(name).requests.map(({ path, authority, headers }) => [
        path,
        authority,
        headers.authorization,
        headers["api-key"],
      ]);
    expect(new Set(of("openai").map(String))).toEqual(new Set([`${CHAT},api.openai.com,Bearer key-of-openai,`]));
    expect(new Set(of("azure").map(String))).toEqual(
      new Set([`/openai${CHAT},example.openai.azure.com,,key-of-azure`]),
    );
    const keys = replica("azure").requests.map(
      ({ body }) => (JSON.parse(body.toString()) as JsonObject).prompt_cache_key,
    );
    const counts = new Map<unknown, number>();
    for (const key of keys) counts.set(key, (counts.get(key) ?? 0) + 1);
    expect([counts.size > 10, counts.size < 60]).toEqual([true, true]); // 30, four standard deviations either way
    expect(new Set(counts.values())).toEqual(new Set([2]));
  });

  test("where openai fails local answers, under its own name and without a key", async () => {
    for (const name of ["openai", "azure"])
      replica(name).failNext({ kind: "status", status: 429 }, { times: "always" });
    const answer = await send("gpt-4.1", "a");
    expect([answer.status, json(answer)]).toMatchObject([200, { model: "llama-3.3-70b" }]);
    const { headers, authority } = replica("local").requests[0] as Replica["requests"][number];
    expect([headers.authorization, headers["api-key"], authority]).toEqual([undefined, undefined, new URL(url).host]);
  });

  test("the other rule, a compressed request, and everything else", async () => {
    expect(json(await send("llama-3.3-70b", "a"))).toMatchObject({ model: "llama-3.3-70b" });
    const body = gzipSync(chat("llama-3.3-70b", "b"));
    const inflated = await http1(url, { path: CHAT, body, headers: { "content-encoding": "gzip" } });
    expect([inflated.status, replica("local").requests.at(-1)?.body.toString()]).toEqual([
      200,
      chat("llama-3.3-70b", "b"),
    ]);
    expect((await send("unknown", "a")).status).toBe(404);
    expect(
      (await http1(url, { method: "GET", path: "/v1/models", headers: { "x-llm-cluster": "local" } })).status,
    ).toBe(404);
  });

  test("the access log and the statistics", async () => {
    await send("llama-3.3-70b", "a");
    const line = /^\S+ 200 via_upstream \d+ms (\{.*"served_model":"llama-3\.3-70b".*\})$/m;
    const text = await waitFor(() => line.exec(envoy.log.tail(500))?.[1], { what: "the access log" });
    expect(JSON.parse(text)).toMatchObject({
      api: "openai.chat",
      target: "local",
      input_tokens: expect.any(Number) as number,
    });
    const counters = async () => envoy.admin.get("/stats/prometheus?filter=gen_ai_client_tokens");
    await waitFor(async () => (await counters()).includes('gen_ai_provider_name="local",gen_ai_token_type="output"'), {
      what: "the counters",
    });
  });

  test("without a key in the environment Envoy refuses to start, and says which", async () => {
    setKeys({ AZURE_API_KEY: undefined });
    const start = EnvoyProcess.start({ version, bootstrap }).finally(() => setKeys(KEYS));
    await expect(start).rejects.toThrow(/targets\.azure\.credential\.env: is not set in the VM/);
  });
});

test("all files of envoy/standalone have the same stats_config", async () => {
  const [first, ...others] = await Promise.all(
    ["envoy.yaml", "fallback.yaml", "xds-bootstrap.yaml"].map(async (name) => {
      const text = await readFile(join(projectRoot(), "envoy/standalone", name), "utf8");
      return (parse(text) as JsonObject).stats_config;
    }),
  );
  expect(first).toBeDefined();
  for (const other of others) expect(other).toEqual(first);
});
