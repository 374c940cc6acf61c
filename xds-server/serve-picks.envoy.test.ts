import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { adsBootstrap, EnvoyProcess, versionsUnderTest, waitFor } from "../envoy/harness/index.ts";
import { type Replica, startReplica } from "../envoy/replica/index.ts";
import { type RunningServer, startServer } from "./index.ts";
import { silentLogger } from "./log.ts";

/** An EndpointPicker from YAML to the replica that answers: alone, and behind a router; the loads that the filter asks this server for; endpoints that come and go. */

const NAMES = ["a", "b", "c", "d"] as const;
const GATEWAY = `
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: edge}
spec: {servers: [{port: {number: 0, name: http, protocol: HTTP}, bind: 127.0.0.1, hosts: ["*"]}]}
---`;
const ROUTES = `
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: models}
spec: {hosts: ["*"], http: [{route: [{destination: {host: models.test}}]}]}
---`;
const RETRIED = ROUTES.replace("}]}", '}], retries: {attempts: 2, retryOn: "connect-failure,reset,5xx"}}');
const ROUTER = `
apiVersion: tokenmesh.io/v1alpha1
kind: LLMRouter
metadata: {name: chat}
spec:
  targets: {main: {cluster: models.test}, other: {cluster: others.test}}
  rules:
    - {name: other, match: {models: [n]}, targets: [{target: other}]}
    - {name: rest, targets: [{target: main}]}
---`;
const picker = (pools: string) => `
apiVersion: tokenmesh.io/v1alpha1
kind: EndpointPicker
metadata: {name: picks}
spec:
  servedHeader: x-served-by
  feed: {intervalMs: 50}
  pools: [${pools}]
---`;

describe.each(versionsUnderTest())("an EndpointPicker in a real Envoy, %s", (version) => {
  let dir: string;
  let replicas: Replica[];
  let server: RunningServer;
  let envoy: EnvoyProcess;

  const service = (name: string, members: readonly string[], more: (member: string) => string = () => "") => `
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: ${name}}
spec:
  hosts: [${name}.test]
  ports: [{number: 80, name: http, protocol: HTTP}]
  resolution: STATIC
  endpoints: [${members.map((member) => `{address: 127.0.0.1, ports: {http: ${replicas.find((each) => each.name === member)?.port}}${more(member)}}`).join()}]
---`;

  beforeEach(async () => {
    dir = mkdtempSync(join(tmpdir(), "tokenmesh-picks-"));
    replicas = await Promise.all(NAMES.map((name) => startReplica({ name, models: ["m", "n"] })));
  });
  afterEach(async () => {
    await envoy.stop();
    await server.close();
    for (const replica of replicas) await replica.close();
    rmSync(dir, { recursive: true, force: true });
  });

  async function start(text: string): Promise<void> {
    writeFileSync(join(dir, "a.yaml"), text);
    server = await startServer({ configDir: dir, log: silentLogger });
    expect(server.configErrors()).toEqual([]);
    envoy = await EnvoyProcess.start({
      version,
      bootstrap: adsBootstrap({ xdsAddress: server.xdsAddress, nodeId: "picks", cluster: "test" }),
      allowErrors: [/gRPC config/, /StreamAggregatedResources/],
    });
    await settled();
  }

  async function edit(text: string): Promise<void> {
    writeFileSync(join(dir, "a.yaml"), text);
    server.reload();
    expect(server.configErrors()).toEqual([]);
    await settled();
  }

  async function settled(): Promise<void> {
    const done = async () => {
      const { nodes } = JSON.parse(await api("/snapshot")) as { nodes: { types: Record<string, { state: string }> }[] };
      const types = nodes.flatMap((node) => Object.values(node.types));
      return types.length === 5 && types.every(({ state }) => state === "synced");
    };
    await waitFor(done, { timeoutMs: 10_000, what: "the configuration" });
  }

  const api = async (path: string) => (await fetch(`http://${server.apiAddress}${path}`)).text();

  interface Answer {
    readonly status: number;
    readonly replica: string;
    /** By the filter's word. */
    readonly served: string;
  }

  async function ask(prompt: string, model = "m"): Promise<Answer> {
    const answer = await fetch(`http://${await envoy.listenerAddress("default/edge/http")}/v1/chat/completions`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ model, messages: [{ role: "user", content: prompt }], max_tokens: 4 }),
    });
    await answer.arrayBuffer();
    const header = (name: string) => answer.headers.get(name) ?? "";
    return { status: answer.status, replica: header("x-replica"), served: header("x-served-by") };
  }

  const prompt = (name: string) => `${name}: ${`${name} says the same over and over again. `.repeat(200)}`;
  const replicasOf = (answers: readonly Answer[]) => [...new Set(answers.map(({ replica }) => replica))].sort();
  const counter = async (name: string) =>
    (await envoy.admin.stats("tokenmesh_endpoint")).get(`wasmcustom.tokenmesh_endpoint_${name}`) ?? 0;

  /** Five conversations, each in several turns. */
  async function talk(model?: string): Promise<ReadonlyMap<string, readonly Answer[]>> {
    const answers = new Map<string, Answer[]>();
    for (let turn = 0; turn < 4; turn++) {
      for (let i = 0; i < 5; i++) {
        const text = prompt(`topic ${i}`) + `And ${turn}? `.repeat(turn);
        const answer = await ask(text, model);
        answers.set(String(i), [...(answers.get(String(i)) ?? []), answer]);
      }
    }
    return answers;
  }

  it("alone: a conversation stays at one replica, which is told; loads are asked for", async () => {
    await start(GATEWAY + ROUTES + service("models", NAMES) + picker("{name: main, host: models.test}"));
    const conversations = await talk();
    for (const answers of conversations.values()) {
      expect(replicasOf(answers)).toHaveLength(1);
      for (const { status, replica, served } of answers) {
        expect(status).toBe(200);
        expect(served).toBe(`127.0.0.1:${replicas.find(({ name }) => name === replica)?.port}`);
      }
    }
    await waitFor(async () => (await counter("picks;pool=main;outcome=affinity")) === 15, {
      what: "picks by affinity",
    });
    // An answer is counted when its stream has ended, a moment after the client has all of it.
    await waitFor(async () => (await counter("answers;pool=main;outcome=served")) === 20, { what: "all answers" });
    expect(await counter("picks;pool=main;outcome=fallback")).toBe(0);
    const known = async () => {
      await ask("hello");
      return /tokenmesh_loads_endpoints\{state="known"\} 4/.test(await api("/metrics"));
    };
    await waitFor(known, { timeoutMs: 10_000, what: "loads of all four" });
    expect(JSON.parse(await api("/loads")).pools.main).toHaveLength(4);
    expect(await counter("state;pool=main;event=feed_failed")).toBe(0);
  });

  it("behind a router: the pool is the target's, and targets without one go on as before", async () => {
    const files =
      GATEWAY +
      ROUTES +
      ROUTER +
      service("models", ["a", "b", "c"]) +
      service("others", ["d"]) +
      picker("{name: main, host: models.test}");
    await start(files);
    for (const answers of (await talk()).values()) {
      expect(replicasOf(answers)).toHaveLength(1);
      expect(["a", "b", "c"]).toContain(answers[0]?.replica);
    }
    expect(await ask("Hello", "n")).toEqual({ status: 200, replica: "d", served: "" });
    const picked = async () =>
      (await counter("picks;pool=main;outcome=affinity")) +
      (await counter("picks;pool=main;outcome=key")) +
      (await counter("picks;pool=main;outcome=load"));
    await waitFor(async () => (await picked()) === 20, { what: "picks of the pool" });
  });

  it.each(["prefix-affinity", "least-request"])(
    "%s: the second priority stands in for the first while that is down, and no request fails",
    async (policy) => {
      const second = (name: string) => name === "c" || name === "d";
      const label = (name: string) => (second(name) ? ', labels: {tokenmesh.io/priority: "1"}' : "");
      await start(
        GATEWAY +
          RETRIED +
          service("models", NAMES, label) +
          picker(`{name: main, host: models.test, policy: ${policy}}`),
      );
      let asked = 0;
      const ten = async () => {
        const answers = await Promise.all(Array.from({ length: 10 }, () => ask(prompt(`topic ${asked++}`))));
        expect(answers.map(({ status }) => status)).toEqual(answers.map(() => 200));
        return replicasOf(answers);
      };
      const of =
        (...wanted: readonly string[]) =>
        async () =>
          (await ten()).every((name) => wanted.includes(name));
      const first = of("a", "b");
      expect(await first()).toBe(true);
      const down = replicas.filter(({ name }) => !second(name));
      for (const replica of down) replica.failNext({ kind: "refuse" });
      for (let round = 0; round < 6; round++) expect(await of("c", "d")()).toBe(true);
      for (const replica of down) await replica.recover();
      // One of two is tried out before the other, and has a share only until then.
      const back = async () => (await first()) && (await first()) && (await first());
      await waitFor(back, { timeoutMs: 20_000, what: "the first priority to have all again" });
      // Envoy's own choice, for whoever is not picked for, goes by the same priorities.
      const { configs } = (await envoy.admin.json("/config_dump?include_eds")) as { configs: object[] };
      expect(JSON.stringify(configs)).toContain('"priority":1');
    },
  );

  it("addresses of version 6 are the same to the server, the filter and Envoy", async () => {
    const six = await Promise.all(
      ["v", "w", "x"].map((name) => startReplica({ name, models: ["m", "n"], host: "::1" })),
    );
    try {
      const members = six.map(({ port }) => `{address: "::1", ports: {http: ${port}}}`).join();
      const entry = service("models", []).replace("endpoints: []", `endpoints: [${members}]`);
      await start(GATEWAY + RETRIED + entry + picker("{name: main, host: models.test}"));
      for (const answers of (await talk()).values()) {
        expect(replicasOf(answers)).toHaveLength(1);
        for (const { status, replica, served } of answers) {
          expect(status).toBe(200);
          expect(served).toBe(`[::1]:${six.find(({ name }) => name === replica)?.port}`);
        }
      }
      // What answers tell of an endpoint finds it by its address: so does quarantine, in all workers.
      await waitFor(async () => (await counter("answers;pool=main;outcome=served")) === 20, { what: "answers" });
      const [dead] = six;
      dead?.failNext({ kind: "refuse" });
      const answers = [...(await talk()).values()].flat();
      expect(answers.map(({ status }) => status)).toEqual(answers.map(() => 200));
      expect(replicasOf(answers)).not.toContain(dead?.name);
      const known = async () => /tokenmesh_loads_endpoints\{state="known"\} 2/.test(await api("/metrics"));
      await waitFor(known, { timeoutMs: 10_000, what: "loads of the two that are there" });
      expect(await counter("answers;pool=main;outcome=elsewhere")).toBe(0);
    } finally {
      for (const replica of six) await replica.close();
    }
  });

  it("an endpoint that goes is not picked any more, no request fails; the listener is not drained", async () => {
    const files = (members: readonly string[]) =>
      GATEWAY + ROUTES + service("models", members) + picker("{name: main, host: models.test}");
    await start(files(NAMES));
    const [gone = ""] = replicasOf((await talk()).get("0") ?? []);
    const drained = async () =>
      [...(await envoy.admin.stats("listener_(modified|removed)$")).values()].reduce((a, b) => a + b, 0);
    const before = await drained();
    await edit(files(NAMES.filter((name) => name !== gone)));
    const answers = [...(await talk()).values()].flat();
    expect(answers.map(({ status }) => status)).toEqual(answers.map(() => 200));
    // The filter's new list is there a moment after Envoy has said so.
    const left = NAMES.filter((name) => name !== gone);
    expect(left).toEqual(expect.arrayContaining(replicasOf(answers)));
    expect(await drained()).toBe(before);
  });
});
