/** The attempt filter connected wrongly: it refuses and says why; it never guesses, because a guess could send a key to another provider. */
import { afterEach, describe, expect, onTestFinished, test } from "vitest";
import {
  cluster,
  EnvoyProcess,
  httpListener,
  nextMemberOnRetry,
  pool,
  staticBootstrap,
  waitFor,
  wasmFilter,
} from "../../envoy/harness/index.ts";
import { startReplica } from "../../envoy/replica/index.ts";
import { type FallbackGateway, type FallbackOptions, POOLS, startFallback } from "./fallback-gateway.ts";
import { ROUTER_WASM } from "./gateways.ts";
import { http1, json } from "./http-client.ts";

const CHAT = "/v1/chat/completions";
const body = JSON.stringify({ model: "m", messages: [{ role: "user", content: "hello" }] });
const VARIABLES = { TOKENMESH_TEST_KEY_A: "key-of-a", TOKENMESH_TEST_KEY_B: "key-of-b" };

/** What the router says when no attempt filter of its own VM ran. */
const DID_NOT_RUN = /the attempt filter did not run/;
let gateway: FallbackGateway | undefined;
afterEach(async () => {
  await gateway?.close();
  gateway = undefined;
});

describe.each(POOLS)("Envoy $version, $kind", ({ version, kind }) => {
  async function start(options: Partial<FallbackOptions> = {}): Promise<FallbackGateway> {
    gateway = await startFallback({
      version,
      kind,
      providers: {
        a: { models: ["m"], target: { credential: { value: "key-of-a" } } },
        b: { models: ["m"], target: { credential: { value: "key-of-b" } } },
      },
      pools: [["a", "b"]],
      router: {
        responseHeaders: true,
        rules: [{ name: "all", targets: [{ target: "a" }], fallback: { targets: ["b"] } }],
      },
      ...options,
    });
    return gateway;
  }
  const seen = (one: FallbackGateway, name: string) =>
    one.replica(name).requests.map(({ path, headers }) => [path, headers.authorization]);

  test("an endpoint that does not say which target it is: 500 target_unknown, in the shape of the API", async () => {
    const one = await start({
      providers: {
        a: { models: ["m"], metadata: false, target: { credential: { value: "key-of-a" } } },
        b: { models: ["m"] },
      },
    });
    const chat = await http1(one.url, { path: CHAT, body });
    expect([chat.status, json(chat)]).toMatchObject([500, { error: { type: "server_error", code: "target_unknown" } }]);
    const messages = await http1(one.url, { path: "/v1/messages", body });
    expect([messages.status, json(messages)]).toMatchObject([500, { type: "error", error: { type: "api_error" } }]);
    const gemini = await http1(one.url, { path: "/v1beta/models/m:generateContent", body: "{}" });
    expect([gemini.status, json(gemini)]).toMatchObject([500, { error: { code: 500, status: "INTERNAL" } }]);
    expect([seen(one, "a"), seen(one, "b")]).toEqual([[], []]);
  });

  test("an endpoint of a target that this request may not go to: 500 target_unknown", async () => {
    const b = { models: ["m"], target: { credential: { value: "key-of-b" } } };
    const one = await start({
      providers: { a: { models: ["m"], metadata: "c" }, b, c: b },
    });
    const answer = await http1(one.url, { path: CHAT, body });
    expect([answer.status, json(answer)]).toMatchObject([500, { error: { code: "target_unknown" } }]);
    expect([seen(one, "a"), seen(one, "b"), seen(one, "c")]).toEqual([[], [], []]);
  });

  test("the attempt filter in another VM: 500 attempt_plan_missing, nothing sent", async () => {
    const one = await start({ attemptVm: "another", allowErrors: [DID_NOT_RUN] });
    const answer = await http1(one.url, { path: CHAT, body });
    expect([answer.status, json(answer)]).toMatchObject([500, { error: { code: "attempt_plan_missing" } }]);
    expect([seen(one, "a"), seen(one, "b")]).toEqual([[], []]);
  });

  test("no attempt filter: requests go on without keys, and the log says once what is missing", async () => {
    const one = await start({ attemptVm: undefined, allowErrors: [DID_NOT_RUN] });
    for (let i = 0; i < 5; i++) {
      const answer = await http1(one.url, { path: CHAT, body, headers: { authorization: "Bearer of-the-client" } });
      expect(answer.status).toBe(200);
    }
    expect(seen(one, "a")).toEqual(Array.from({ length: 5 }, () => [CHAT, undefined]));
    const lines = () => one.envoy.log.entries.filter(({ message }) => DID_NOT_RUN.test(message));
    await waitFor(() => lines().length > 0, { what: "the log line" });
    expect(lines()).toHaveLength(1);
    expect(lines()[0]).toMatchObject({ level: "error" });
    expect(lines()[0]?.message).toMatch(/root_id llm-router-attempt.*same vm_config.*upstream_http_filters/);
  });

  test("requests that are no LLM calls pass both filters as they are", async () => {
    const one = await start();
    const headers = { authorization: "Bearer of-the-client", "x-llm-cluster": "b" };
    const answer = await http1(one.url, { method: "PUT", path: "/echo?key=1", body, headers });
    expect([answer.status, answer.body.toString()]).toEqual([200, body]);
    expect([seen(one, "a"), seen(one, "b")]).toEqual([[["/echo?key=1", "Bearer of-the-client"]], []]);
  });

  test("keys from Envoy's environment", async () => {
    for (const [name, value] of Object.entries(VARIABLES)) {
      process.env[name] = value;
      onTestFinished(() => {
        delete process.env[name];
      });
    }
    const providers = {
      a: { models: ["m"], target: { credential: { env: "TOKENMESH_TEST_KEY_A" } } },
      b: { models: ["m"], target: { credential: { header: "api-key", env: "TOKENMESH_TEST_KEY_B" } } },
    };
    const environment = Object.keys(VARIABLES);
    const one = await start({ providers, environment });
    one.replica("a").failNext({ kind: "status", status: 429 });
    expect((await http1(one.url, { path: CHAT, body })).headers["x-llm-target"]).toBe("b");
    expect(one.replica("a").requests[0]?.headers.authorization).toBe("Bearer key-of-a");
    expect(one.replica("b").requests[0]?.headers).toMatchObject({ "api-key": "key-of-b" });
    expect(one.replica("b").requests[0]?.headers.authorization).toBeUndefined();
    const dump = JSON.stringify(await one.envoy.admin.configDump());
    expect(dump).not.toMatch(/key-of-[ab]/);
    await one.close();

    delete process.env.TOKENMESH_TEST_KEY_B;
    await expect(start({ providers, environment })).rejects.toThrow(
      /targets\.b\.credential\.env: is not set in the VM.*host_env_keys/,
    );
    gateway = undefined;
  });

  test("the attempt filter in the VM of another router that is busy: refused, and not given that router's key", async () => {
    const replicas = {
      a: await startReplica({ name: "a", models: ["m"] }),
      b: await startReplica({ name: "b", models: ["m"] }),
    };
    for (const replica of Object.values(replicas)) onTestFinished(() => replica.close());
    const wasm = (name: string, vmId: string, key?: string) =>
      wasmFilter({
        name,
        vmId,
        file: ROUTER_WASM,
        ...(key === undefined
          ? {}
          : {
              configuration: {
                targets: {
                  a: { cluster: "a", credential: { value: key } },
                  b: { cluster: "b", credential: { value: key } },
                },
                rules: [{ name: "all", targets: [{ target: "a" }], fallback: { targets: ["b"] } }],
              },
            }),
      });
    const listener = (name: string, vmId: string, attemptVm: string) =>
      httpListener({
        name,
        httpFilters: [wasm("llm-router", vmId, `key-of-${name}`)],
        upstreamFilters: [wasm("llm-router-attempt", attemptVm)],
        routes: [{ cluster: { header: "x-llm-cluster" }, action: kind === "aggregate" ? nextMemberOnRetry : {} }],
      });
    const envoy = await EnvoyProcess.start({
      version,
      allowErrors: [DID_NOT_RUN],
      bootstrap: staticBootstrap({
        listeners: [listener("first", "vm-1", "vm-2"), listener("second", "vm-2", "vm-2")],
        clusters: [
          cluster({ name: "a", targets: [replicas.a.port], llmTarget: "a" }),
          cluster({ name: "b", targets: [replicas.b.port], llmTarget: "b" }),
          pool({ members: ["a", "b"], kind }),
        ],
      }),
    });
    onTestFinished(() => envoy.stop());
    const [first, second] = [await envoy.listenerAddress("first"), await envoy.listenerAddress("second")];
    replicas.a.failNext({ kind: "hang" });
    const waiting = http1(`http://${second}`, { path: CHAT, body, timeoutMs: 60_000 }).catch(() => undefined);
    await waitFor(() => replicas.a.requests.length === 1, { what: "the request that keeps its plan" });
    const answer = await http1(`http://${first}`, { path: CHAT, body });
    expect(replicas.a.requests.slice(1).map(({ headers }) => headers.authorization)).toEqual([]);
    expect([answer.status, json(answer)]).toMatchObject([500, { error: { code: "attempt_plan_missing" } }]);
    await replicas.a.close(); // ends what waits
    await waiting;
  });
});
