/**
 * The plugin without `allow_on_headers_stop_iteration`, as under Istio's WasmPlugin: Envoy then never hands over a request body, and a filter
 * that waits for it would hang the request for ever. llm-router must notice and go on by its policy.
 */
import { connect } from "node:net";
import { setTimeout as delay } from "node:timers/promises";
import { afterEach, describe, expect, test } from "vitest";
import {
  cluster,
  EnvoyProcess,
  httpListener,
  type JsonObject,
  staticBootstrap,
  versionsUnderTest,
  wasmFilter,
} from "../../envoy/harness/index.ts";
import { type Replica, startReplica } from "../../envoy/replica/index.ts";
import { ROUTER_WASM } from "./gateways.ts";
import { http1, http2, json, type RawAnswer } from "./http-client.ts";

const CHAT = "/v1/chat/completions";
const METRIC = "wasmcustom.tokenmesh_llm_router_body_unreadable";
const WITHHELD = /Envoy withholds request bodies/;
/** The guard looks twice a second or so; the rest is scheduling on a busy machine. */
const NOTICED_MS = 1_500;
const IMMEDIATE_MS = 250;
const body = JSON.stringify({ model: "gpt-4.1", messages: [{ role: "user", content: "hello" }] });

const running: { close(): Promise<void> }[] = [];

afterEach(async () => {
  for (const one of running.splice(0)) await one.close();
});

interface Setup {
  readonly url: string;
  readonly envoy: EnvoyProcess;
  readonly replica: Replica;
}

async function start(version: string, onBodyUnreadable: JsonObject | undefined, allowed: boolean): Promise<Setup> {
  const replica = await startReplica({ name: "r1", models: ["gpt-4.1"] });
  running.unshift(replica);
  const filter = wasmFilter({
    name: "llm-router",
    file: ROUTER_WASM,
    allowOnHeadersStopIteration: allowed,
    configuration: { models: [{ model: "*", route: "by-model" }], ...(onBodyUnreadable ? { onBodyUnreadable } : {}) },
  });
  const routes = ["by-model", "default"].map((route) => ({ cluster: "r1", headers: { "x-llm-route": route } }));
  const bootstrap = staticBootstrap({
    listeners: [httpListener({ name: "llm", httpFilters: [filter], routes })],
    clusters: [cluster({ name: "r1", targets: [replica.port] })],
  });
  const envoy = await EnvoyProcess.start({ bootstrap, version, allowErrors: allowed ? [] : [WITHHELD] });
  running.unshift({ close: () => envoy.stop() });
  return { url: `http://${await envoy.listenerAddress("llm")}`, envoy, replica };
}

describe.each(versionsUnderTest())("without the flag, Envoy %s", (version) => {
  test("the first requests are refused within about a second, later ones at once; counted, and logged once with the remedy", async () => {
    const { url, envoy, replica } = await start(version, undefined, false);
    const sends = [http1, http2, http1].map((client) => client(url, { path: CHAT, body }));
    sends.push(http1(url, { path: CHAT, body, pieceBytes: 10 }));
    const check = (answer: RawAnswer, limitMs: number): void => {
      expect(answer.status).toBe(500);
      expect(json(answer)).toMatchObject({ error: { code: "body_unreadable" } });
      expect(answer.elapsedMs).toBeLessThan(limitMs);
    };
    for (const answer of await Promise.all(sends)) check(answer, NOTICED_MS);
    for (let i = 0; i < 5; i++) check(await http1(url, { path: CHAT, body }), IMMEDIATE_MS);
    expect((await envoy.admin.stats("wasmcustom")).get(METRIC)).toBe(9);
    const logged = envoy.log.entries.filter(({ message }) => WITHHELD.test(message));
    expect(logged.length).toBeGreaterThan(0);
    expect(logged.length).toBeLessThanOrEqual(2); // once per VM: one worker here, and the main thread has no requests
    expect(logged[0]?.message).toContain("allow_on_headers_stop_iteration: true");
    expect(replica.requests).toHaveLength(0);
  });

  test("a default route releases the waiting requests, with their bodies", async () => {
    const { url, envoy, replica } = await start(version, { route: "default" }, false);
    const first = await http1(url, { path: CHAT, body });
    expect(first.status).toBe(200);
    expect(first.elapsedMs).toBeLessThan(NOTICED_MS);
    const second = await http1(url, { path: CHAT, body });
    expect([second.status, second.elapsedMs < IMMEDIATE_MS]).toEqual([200, true]);
    expect(replica.requests.map((request) => [request.headers["x-llm-route"], request.body.toString()])).toEqual([
      ["default", body],
      ["default", body],
    ]);
    expect((await envoy.admin.stats("wasmcustom")).get(METRIC)).toBe(2);
  });

  test("other paths are not affected", async () => {
    const { url } = await start(version, { route: "default" }, false);
    const answer = await http1(url, { path: "/echo", body });
    expect([answer.status, answer.elapsedMs < IMMEDIATE_MS]).toEqual([404, true]); // no route without a model
  });
});

test.each(versionsUnderTest())(
  "with the flag, a client that sends its body late is not mistaken for it, Envoy %s",
  async (version) => {
    const { url, envoy, replica } = await start(version, { route: "default" }, true);
    const { hostname, port } = new URL(url);
    const socket = connect(Number(port), hostname);
    let answer = "";
    socket.setEncoding("utf8").on("data", (text: string) => {
      answer += text;
    });
    const closed = new Promise((resolve) => socket.once("close", resolve));
    socket.write(`POST ${CHAT} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: ${body.length}\r\n\r\n`);
    await delay(1_600); // the time itself is the test: longer than the guard takes
    expect(answer).toBe("");
    socket.write(body); // not end(): Envoy takes a half-closed connection for an aborted one
    await closed;
    expect(answer).toMatch(/^HTTP\/1.1 200/);
    expect(replica.requests[0]?.headers["x-llm-route"]).toBe("by-model");
    expect((await envoy.admin.stats("wasmcustom")).get(METRIC) ?? 0).toBe(0);
  },
);
