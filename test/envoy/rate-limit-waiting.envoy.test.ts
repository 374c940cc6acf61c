/** Requests that wait for room, and streams that are paced, on real Envoy: in front of an upstream that answers when the test says so. */
import { createServer, request as http1Request, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import {
  cluster,
  EnvoyProcess,
  httpListener,
  staticBootstrap,
  versionsUnderTest,
  waitFor,
  wasmFilter,
} from "../../envoy/harness/index.ts";
import { WASM_DIR } from "./gateways.ts";
import { http1 } from "./http-client.ts";

/** Bytes that a token of a stream takes, as long as nothing else was learned. */
const TOKEN = 200;
/** Tokens of each paced answer, and of all of them in a second. */
const TOKENS = 90;
const PER_SECOND = 60;
const QUEUE_MS = 300;
const PATH = "/v1/chat/completions";

const key = [{ header: "x-team" }];
const team = (prefix: string) => ({ headers: [{ name: "x-team", prefix }] });
const limit = { unit: "tokens", amount: 100, per: "day" };
const config = {
  rules: [
    { name: "long", match: team("long"), key, limits: [limit], queueMs: 60_000 },
    { name: "short", match: team("short"), key, limits: [limit], queueMs: QUEUE_MS },
    {
      name: "paced",
      match: team("paced"),
      key,
      limits: [{ unit: "completionTokens", amount: PER_SECOND, per: "second" }],
      overrun: "pace",
    },
  ],
};

/** Estimated at 10 tokens of prompt and `max` of answer. */
const body = (max: number, more: object = {}) =>
  JSON.stringify({ model: "m", messages: [{ role: "user", content: "x".repeat(40) }], max_tokens: max, ...more });

/** Events of an answer, of one token each but for the last two. */
const events = (name: string): string[] => {
  const event = (content: string) =>
    `data: ${JSON.stringify({ id: name, model: "m", choices: [{ index: 0, delta: { content } }] })}\n\n`;
  const tokens = Array.from({ length: TOKENS }, (_, i) => event(`${i} `.padEnd(TOKEN - event("").length, ".")));
  const usage = { prompt_tokens: 10, completion_tokens: TOKENS };
  return [...tokens, `data: ${JSON.stringify({ id: name, choices: [], usage })}\n\n`, "data: [DONE]\n\n"];
};

describe.each(versionsUnderTest())("Envoy %s", (version) => {
  let envoy: EnvoyProcess;
  let upstream: Server;
  let url: string;
  /** Requests that have come, by their x-id, in their order. */
  const arrived = new Map<string, ServerResponse>();

  beforeAll(async () => {
    upstream = createServer((incoming, answer) => {
      incoming.resume();
      incoming.on("end", () => arrived.set(String(incoming.headers["x-id"]), answer));
    });
    await new Promise<void>((resolve) => upstream.listen(0, "127.0.0.1", resolve));
    const filter = wasmFilter({
      name: "token-rate-limit",
      file: join(WASM_DIR, "token-rate-limit.wasm"),
      configuration: config,
    });
    const bootstrap = staticBootstrap({
      listeners: [httpListener({ name: "llm", httpFilters: [filter], routes: [{ cluster: "u" }] })],
      clusters: [cluster({ name: "u", targets: [(upstream.address() as AddressInfo).port] })],
    });
    envoy = await EnvoyProcess.start({ bootstrap, version });
    url = `http://${await envoy.listenerAddress("llm")}`;
  });
  afterAll(async () => {
    await envoy?.stop();
    upstream.closeAllConnections();
    await new Promise((resolve) => upstream.close(resolve));
  });

  const ask = (name: string, id: string, max: number) =>
    http1(url, { path: PATH, headers: { "x-team": name, "x-id": id }, body: body(max), timeoutMs: 40_000 });
  const atUpstream = (id: string) => waitFor(() => arrived.get(id), { what: `request ${id} at the upstream` });
  const answer = async (id: string, used: number) => {
    const usage = { prompt_tokens: used, completion_tokens: 0 };
    (await atUpstream(id)).setHeader("content-type", "application/json").end(JSON.stringify({ choices: [], usage }));
  };
  const count = async (rule: string, outcome: string): Promise<number> => {
    const stats = await envoy.admin.stats("tokenmesh_rate_limit_requests");
    return [...stats].find(([name]) => name.includes(`rule=${rule};outcome=${outcome}`))?.[1] ?? 0;
  };
  const counted = (rule: string, outcome: string, least: number) =>
    waitFor(async () => (await count(rule, outcome)) >= least, { what: `${least} requests ${outcome} under ${rule}` });

  test("a queued request goes on when there is room, and the next one when there is more", async () => {
    const first = ask("long-1", "first", 80);
    await atUpstream("first");
    const second = ask("long-1", "second", 50);
    await counted("long", "queued", 1);
    const third = ask("long-1", "third", 50);
    await counted("long", "queued", 2);
    expect([...arrived.keys()]).toEqual(["first"]);
    await answer("first", 10);
    await atUpstream("second");
    expect((await first).status).toBe(200);
    // 10 used and 60 reserved.
    expect([...arrived.keys()]).toEqual(["first", "second"]);
    await answer("second", 10);
    await answer("third", 10);
    expect([(await second).status, (await third).status]).toEqual([200, 200]);
    expect((await third).headers["x-ratelimit-remaining-tokens"]).toBe("20");
  });

  test("one for which no room comes is refused when its time is over", async () => {
    const first = ask("short-1", "fills", 80);
    await atUpstream("fills");
    const refused = await ask("short-1", "refused", 50);
    expect(refused.status).toBe(429);
    expect(refused.elapsedMs).toBeGreaterThanOrEqual(QUEUE_MS - 1);
    expect(JSON.parse(refused.body.toString())).toMatchObject({ error: { code: "rate_limit_exceeded" } });
    expect(Number(refused.headers["retry-after"])).toBeGreaterThan(0);
    await answer("fills", 10);
    await first;
    expect(arrived.has("refused")).toBe(false);
  });

  test("one whose client has gone leaves the queue", async () => {
    const queued = await count("long", "queued");
    const first = ask("long-2", "before", 80);
    await atUpstream("before");
    const headers = { "x-team": "long-2", "x-id": "gone", "content-length": Buffer.byteLength(body(50)) };
    const gone = http1Request(`${url}${PATH}`, { method: "POST", agent: false, headers });
    gone.on("error", () => {});
    gone.end(body(50));
    await counted("long", "queued", queued + 1);
    gone.destroy();
    const active = async () => (await envoy.admin.stats("downstream_rq_active")).get("http.llm.downstream_rq_active");
    await waitFor(async () => (await active()) === 1, { what: "the end of the request" });
    const next = ask("long-2", "next", 50);
    await counted("long", "queued", queued + 2);
    await answer("before", 10);
    await answer("next", 10);
    expect([(await first).status, (await next).status]).toEqual([200, 200]);
    expect(arrived.has("gone")).toBe(false);
  });

  test("paced streams of one key are complete, byte for byte, and together no faster than their budget", async () => {
    const ids = ["paced-1", "paced-2"];
    const begun = Math.floor(Date.now() / 1_000);
    let received = 0;
    let tooMuch = 0;
    const seconds: number[] = [];
    const streams = ids.map(
      (id) =>
        new Promise<string>((resolve, reject) => {
          const text = body(500, { stream: true, stream_options: { include_usage: true } });
          const headers = { "x-team": "paced", "x-id": id, "content-length": Buffer.byteLength(text) };
          const outgoing = http1Request(`${url}${PATH}`, { method: "POST", agent: false, headers }, (incoming) => {
            const pieces: Buffer[] = [];
            incoming.on("data", (piece: Buffer) => {
              pieces.push(piece);
              received += piece.length;
              // What came by now was reserved by now, in one of these seconds. 2 %: what the first answer teaches, and its last events.
              const passed = Math.floor(Date.now() / 1_000) - begun + 1;
              tooMuch = Math.max(tooMuch, received - 1.02 * TOKEN * (passed * PER_SECOND + ids.length));
              if (!seconds.includes(passed)) seconds.push(passed);
            });
            incoming.on("error", reject);
            incoming.on("end", () => resolve(Buffer.concat(pieces).toString()));
          });
          outgoing.on("error", reject);
          outgoing.end(text);
        }),
    );
    const sent = ids.map(async (id) => {
      const to = await atUpstream(id);
      to.writeHead(200, { "content-type": "text/event-stream" });
      // One by one, as an engine would.
      for (const event of events(id)) await new Promise((resolve) => to.write(event, () => setTimeout(resolve, 1)));
      to.end();
    });
    await Promise.all(sent);
    expect(await Promise.all(streams)).toEqual(ids.map((id) => events(id).join("")));
    expect(tooMuch).toBe(0);
    // They came while there was room, not all at the end.
    expect(seconds.length).toBeGreaterThanOrEqual(Math.ceil((ids.length * TOKENS) / PER_SECOND) - 1);
    await counted("paced", "paced", 2);
  });
});
