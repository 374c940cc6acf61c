/** What clients see of a strict limit: nothing but its headers, and refusals in their own words. However requests come, they are held, released whole, and answered. */
import { request as http1Request } from "node:http";
import { connect } from "node:http2";
import OpenAI from "openai";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { versionsUnderTest, waitFor } from "../../envoy/harness/index.ts";
import { type Replica, startReplica } from "../../envoy/replica/index.ts";
import { CLIENT_MODELS, type Target, UPSTREAM_MODELS } from "./clients/scenario.ts";
import { ALIASES, SCENARIOS, TWIN } from "./clients/scenarios.ts";
import { http1, http2, json, type RawRequest } from "./http-client.ts";
import { HOUR, type ServiceGateway, startServiceGateway, windowAhead } from "./rate-limit-service-gateway.ts";
import {
  buildCommand,
  type LedgerProcess,
  type StallingProxy,
  startLedgerProcess,
  startStallingProxy,
} from "./rate-limit-service-parts.ts";
import { chatBody } from "./rate-limit-traffic.ts";

const CHAT = "/v1/chat/completions";
const GEMINI = `/v1beta/models/${UPSTREAM_MODELS.gemini}:generateContent`;
const key = [{ header: "x-team" }];
const team = (prefix: string) => ({ headers: [{ name: "x-team", prefix }] });
const limit = (unit: string, amount: number) => ({ unit, amount, per: "hour" });
const large = 4_000_000_000;
const rules = [
  { name: "all", key, mode: "strict", onFailure: "closed", limits: [limit("tokens", large), limit("requests", large)] },
  { name: "few", match: team("few"), key, mode: "strict", onFailure: "closed", limits: [limit("requests", 2)] },
];
/** Nothing of a body has to be known: a Gemini call is decided by its headers. */
const byHeaders = [{ name: "calls", key, mode: "strict", onFailure: "closed", limits: [limit("requests", large)] }];

/** A body with trailers behind it, on HTTP/2. */
function withTrailers(base: string, { path, headers, body = "" }: RawRequest): Promise<{ status: number }> {
  return new Promise((resolve, reject) => {
    const session = connect(base);
    session.on("error", reject);
    const stream = session.request({ ":method": "POST", ":path": path, ...headers }, { waitForTrailers: true });
    let status = 0;
    stream.on("response", (answer) => {
      status = Number(answer[":status"]);
    });
    stream.on("wantTrailers", () => stream.sendTrailers({ "x-checksum": "1" }));
    stream.on("error", reject);
    stream.resume();
    stream.on("close", () => {
      session.close();
      resolve({ status });
    });
    stream.end(body);
  });
}

/** Sends a request and returns how to abort it. */
const aborts = {
  "TCP reset": (base: string, { path, headers, body = "" }: RawRequest) => {
    const outgoing = http1Request(`${base}${path}`, { method: "POST", ...(headers && { headers }), agent: false });
    outgoing.on("error", () => {});
    outgoing.end(body);
    return () => outgoing.socket?.resetAndDestroy();
  },
  RST_STREAM: (base: string, { path, headers, body = "" }: RawRequest) => {
    const session = connect(base);
    const stream = session.request({ ":method": "POST", ":path": path, ...headers });
    stream.on("error", () => {});
    stream.end(body);
    return () => {
      stream.close(8);
      session.close();
    };
  },
};

describe.each(versionsUnderTest())("Envoy %s", (version) => {
  let direct: Replica;
  let replica: Replica;
  let ledger: LedgerProcess;
  let proxy: StallingProxy;
  let gateway: ServiceGateway;
  let bare: ServiceGateway;

  beforeAll(async () => {
    buildCommand();
    direct = await startReplica(TWIN);
    replica = await startReplica(TWIN);
    ledger = await startLedgerProcess();
    proxy = await startStallingProxy(ledger.grpcAddress);
    const common = { version, replica, service: proxy.address };
    gateway = await startServiceGateway({ ...common, rules, router: ALIASES, maxBodyBytes: 16 << 20 });
    bare = await startServiceGateway({ ...common, rules: byHeaders });
  });
  afterAll(async () => {
    await gateway?.stop();
    await bare?.stop();
    await proxy?.close();
    await ledger?.close();
    await replica?.close();
    await direct?.close();
  });

  const stat = async ({ envoy }: ServiceGateway, name: string): Promise<number> =>
    (await envoy.admin.stats(`^${name.replaceAll(".", "\\.")}$`)).get(name) ?? 0;

  /** Waits until the service is asked and has not answered. */
  const asked = (through: ServiceGateway): Promise<boolean> =>
    waitFor(async () => (await stat(through, "cluster.service.upstream_rq_active")) > 0, {
      what: "the call to the service",
    });

  test.each(SCENARIOS.map((one) => [one.name, one] as const))("%s: as without a limit", async (_, { run, shows }) => {
    // The limiter asks streams for their usage, and a replica's names of answers follow from the request.
    const seen = async (target: Target): Promise<string> =>
      (JSON.stringify(await run(target)) ?? "").replaceAll(/[-_]twin-[0-9a-f]{24}/g, "");
    const expected = await seen({ url: direct.url, models: UPSTREAM_MODELS });
    for (const text of shows) expect(expected).toContain(text);
    expect(await seen({ url: gateway.url, models: CLIENT_MODELS })).toBe(expected);
  });

  test("openai: a RateLimitError that says when to come again, for a stream too", async () => {
    await windowAhead(HOUR, 20_000);
    const defaultHeaders = { "x-team": "few-1" };
    const client = new OpenAI({ baseURL: `${gateway.url}/v1`, apiKey: "k", maxRetries: 0, defaultHeaders });
    const call = { model: CLIENT_MODELS.chat, messages: [{ role: "user" as const, content: "hello" }] };
    const { data, response } = await client.chat.completions.create(call).withResponse();
    expect(data.choices[0]?.message.content).toContain("hello");
    expect(response.headers.get("x-ratelimit-remaining-requests")).toBe("1");
    const words: string[] = [];
    for await (const { choices } of await client.chat.completions.create({ ...call, stream: true })) {
      words.push(choices[0]?.delta.content ?? "");
    }
    expect(words.join("")).toBe(data.choices[0]?.message.content);
    for (const stream of [false, true]) {
      const wanted = client.chat.completions.create({ ...call, stream }).catch((reason: unknown) => reason);
      const error = await wanted;
      expect(error).toBeInstanceOf(OpenAI.RateLimitError);
      if (!(error instanceof OpenAI.RateLimitError)) return;
      expect(error).toMatchObject({ status: 429, code: "rate_limit_exceeded", type: "rate_limit_error" });
      const left = (HOUR - (Date.now() % HOUR)) / 1_000;
      expect(Math.abs(Number(error.headers.get("retry-after")) - left)).toBeLessThan(10);
      expect(error.headers.get("x-ratelimit-limit-requests")).toBe("2");
      expect(error.headers.get("x-ratelimit-remaining-requests")).toBe("0");
    }
    // Neither rule counts what was refused.
    for (const rule of ["few", "all"]) {
      expect(await ledger.used(`rule=${rule}`, "limit=requests/hour", "x-team=few-1")).toBe(2);
    }
  });

  describe("a client that leaves while its request is held", () => {
    const cases = (["answers", "requests"] as const).flatMap((kept) =>
      (Object.keys(aborts) as (keyof typeof aborts)[]).map((way) => [way, kept] as const),
    );

    test.each(cases)(
      "%s, with %s under way: nothing hangs or is sent on, and its tokens come back",
      async (way, kept) => {
        await windowAhead(HOUR, 20_000);
        const name = `gone-${way.replace(" ", "-")}-${kept}`;
        const used = () => ledger.used("rule=all", "limit=tokens/hour", `x-team=${name}`);
        const before = (await gateway.calls())["reserve ok"] ?? 0;
        replica.clearRequests();
        proxy.stall(kept);
        const headers = { "x-team": name, "content-type": "application/json" };
        const abort = aborts[way](gateway.url, { path: CHAT, headers, body: chatBody(400, 500) });
        await asked(gateway);
        if (kept === "answers") await waitFor(async () => (await used()) >= 600, { what: "the reservation" });
        abort();
        const gone = async () => (await stat(gateway, "http.llm.downstream_rq_active")) === 0;
        await waitFor(gone, { what: "the end of the stream" });
        proxy.stall("nothing");
        await waitFor(async () => ((await gateway.calls())["reserve ok"] ?? 0) > before, { what: "the answer" });
        await waitFor(async () => (await used()) === 0, { what: "the tokens" });
        expect(await ledger.used("rule=all", "limit=requests/hour", `x-team=${name}`)).toBe(0);
        expect(replica.requests).toEqual([]);
      },
    );
  });

  describe("a request that is held goes on whole", () => {
    const chat = chatBody(200_000, 5, { model: CLIENT_MODELS.chat, stream: false });
    const gemini = JSON.stringify({ contents: [{ parts: [{ text: "word ".repeat(40_000) }] }] });
    const huge = JSON.stringify({ contents: [{ parts: [{ text: "word ".repeat(600_000) }] }] });
    const whole = (path: string, body: string, more: Partial<RawRequest> = {}): RawRequest => ({ path, body, ...more });
    const cases = [
      ["chat, HTTP/1.1", () => gateway, http1, whole(CHAT, chat)],
      ["chat, HTTP/1.1 in pieces", () => gateway, http1, whole(CHAT, chat, { pieceBytes: 7_000 })],
      ["chat, HTTP/2", () => gateway, http2, whole(CHAT, chat)],
      ["chat, HTTP/2 with trailers", () => gateway, withTrailers, whole(CHAT, chat)],
      ["Gemini, HTTP/1.1", () => bare, http1, whole(GEMINI, gemini)],
      ["Gemini, HTTP/2 in pieces", () => bare, http2, whole(GEMINI, gemini, { pieceBytes: 7_000 })],
      ["Gemini, HTTP/2 with trailers", () => bare, withTrailers, whole(GEMINI, gemini)],
      ["Gemini, HTTP/1.1, more than Envoy keeps", () => bare, http1, whole(GEMINI, huge)],
      ["Gemini, HTTP/2, more than Envoy keeps, with trailers", () => bare, withTrailers, whole(GEMINI, huge)],
    ] as const;

    test.each(cases)("%s", async (name, through, client, { path, body = "", ...more }) => {
      replica.clearRequests();
      proxy.stall("answers");
      const headers = { "x-team": "held", "content-type": "application/json" };
      const received = () => stat(through(), "http.llm.downstream_cx_rx_bytes_total");
      const before = await received();
      const answer = client(through().url, { path, body, headers, ...more });
      await asked(through());
      // All of it has come, if Envoy keeps so much: what passed the filter would be there before the next request.
      const kept = Math.min(body.length, 1 << 20);
      await waitFor(async () => (await received()) >= before + kept, { what: "the body" });
      expect((await http1(through().url, { method: "GET", path: "/health" })).status).toBe(200);
      expect(replica.requests).toEqual([]);
      proxy.stall("nothing");
      expect([name, (await answer).status]).toEqual([name, 200]);
      expect(replica.requests.length).toBe(1);
      const sent = replica.requests[0]?.body.toString() ?? "";
      if (path !== CHAT) expect(sent === body).toBe(true);
      // The router has put the upstream's name of the model in.
      else expect(JSON.parse(sent)).toEqual({ ...JSON.parse(chat), model: UPSTREAM_MODELS.chat });
    });

    test("one without a body", async () => {
      proxy.stall("answers");
      const answer = http1(bare.url, { path: GEMINI, headers: { "x-team": "held" } });
      await asked(bare);
      proxy.stall("nothing");
      const expected = await http1(direct.url, { path: GEMINI });
      expect([(await answer).status, json(await answer)]).toEqual([expected.status, json(expected)]);
    });
  });
});
