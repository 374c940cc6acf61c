/** token-rate-limit on real Envoy: no budget is overrun, whoever asks at the same time on whichever worker; what is left is told right; who leaves pays for what came. */
import { execFile } from "node:child_process";
import { promisify } from "node:util";
import Anthropic from "@anthropic-ai/sdk";
import OpenAI from "openai";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { pythonClients, versionsUnderTest } from "../../envoy/harness/index.ts";
import { TIMING_PROFILES } from "../../envoy/replica/index.ts";
import {
  chat,
  chatBody,
  type LimitedGateway,
  leaveHttp1,
  leaveHttp2,
  leftAtLast,
  PROBE,
  startLimited,
} from "./rate-limit-traffic.ts";

const LIMIT = 100_000;
const STREAMS = 64;
/** One token each 2 ms: streams that begin together run together. */
const PACED = { ...TIMING_PROFILES.instant, iterationMs: 2 };

const key = [{ header: "x-team" }];
const team = (prefix: string) => ({ headers: [{ name: "x-team", prefix }] });
const limit = (amount: number, more: object = {}) => ({ unit: "tokens", amount, per: "minute", ...more });

describe.each(versionsUnderTest())("Envoy %s", (version) => {
  describe("four workers, 64 streams at once, 100,000 tokens a minute", () => {
    let gateway: LimitedGateway;

    beforeAll(async () => {
      const rules = [
        { name: "calendar", match: team("calendar"), key, limits: [limit(LIMIT)] },
        { name: "rolling", match: team("rolling"), key, limits: [limit(LIMIT, { rolling: true })] },
        { name: "short", match: team("short"), key, limits: [limit(1_000, { per: "day" })] },
      ];
      // A prompt of 4,000 bytes is estimated at 1,040 tokens, and takes 1,002.
      const config = { tokensPerByte: 0.26, rules };
      gateway = await startLimited({ version, config, concurrency: 4, replica: { timing: PACED } });
    });
    afterAll(() => gateway?.close());

    /** As many calls as there are streams: how many were admitted, and what they used by the replica's own figures. */
    const wave = async (name: string, body: string) => {
      const answers = await Promise.all(Array.from({ length: STREAMS }, () => chat(gateway.url, name, body)));
      for (const { status } of answers) expect([200, 429]).toContain(status);
      const admitted = answers.filter(({ status }) => status === 200);
      return { admitted: admitted.length, used: admitted.reduce((sum, { used }) => sum + used, 0) };
    };

    const minute = () => Math.floor(Date.now() / 60_000);

    /** A budget of the calendar that begins anew on the way shows nothing: `whole` is false. */
    const fill = async (name: string) => {
      const begun = minute();
      const whole = () => !name.startsWith("calendar") || minute() === begun;
      const waves: Awaited<ReturnType<typeof wave>>[] = [];
      let used = 0;
      for (const max of [1_000, 300, 50, 1]) {
        const next = await wave(name, chatBody(4_000, max, { ignore_eos: true }));
        waves.push(next);
        used += next.used;
        await leftAtLast(gateway.url, name, (found) => found === LIMIT - used || !whole());
        used += PROBE;
      }
      return { waves, used, whole: whole() };
    };

    test.each(["calendar", "rolling"])("a %s window is filled, and not exceeded by a token", async (kind) => {
      let filled = await fill(`${kind}-1`);
      if (!filled.whole) filled = await fill(`${kind}-2`);
      const { waves, used } = filled;
      const overshoot = Math.max(0, used - LIMIT);
      const admitted = waves.map((one) => one.admitted);
      console.info(`Envoy ${version}, ${kind}: ${admitted.join(" + ")} admitted, ${used} used, overshoot ${overshoot}`);
      // 1,040 + 1,000 reserved: 49 at once, and more as soon as one of them has ended.
      expect(admitted[0]).toBeGreaterThanOrEqual(49);
      expect(admitted[0]).toBeLessThan(STREAMS);
      expect(overshoot).toBe(0);
      expect(used).toBeGreaterThan(0.98 * LIMIT);
    });

    test("what is longer than was estimated counts, and is all that is above the limit", async () => {
      // 21 reserved, 23 used: the template around a prompt is not seen.
      const { admitted, used } = await wave("short", chatBody(2, 20, { ignore_eos: true }));
      console.info(`Envoy ${version}: ${admitted} admitted, ${used} of 1000 used`);
      expect(admitted).toBeGreaterThanOrEqual(Math.floor(1_000 / 21));
      expect(used - 1_000).toBeLessThanOrEqual(used - admitted * 21);
    });

    test("all workers had a part in it, and no count was lost", async () => {
      const connections = await gateway.envoy.admin.stats("worker_.*downstream_cx_total");
      expect([...connections].filter(([, count]) => count > 0).length).toBeGreaterThanOrEqual(3);
      const store = await gateway.envoy.admin.stats("tokenmesh_rate_limit_store");
      expect([...store.keys()].length).toBe(5);
      for (const [name, count] of store) expect([name, count]).toEqual([name, 0]);
    });
  });

  describe("a client that leaves half-way", () => {
    let gateway: LimitedGateway;
    /** Reserved for the answer. */
    const MAX = 4_000;
    const prompt = { messages: [{ role: "user", content: "word ".repeat(80) }] };
    const PROMPT = 102;
    const calls: [api: string, path: string, body: object][] = [
      ["chat", "/v1/chat/completions", { model: "gpt-4o", max_tokens: MAX }],
      ["responses", "/v1/responses", { model: "gpt-4o", max_output_tokens: MAX, input: prompt.messages }],
      ["messages", "/v1/messages", { model: "claude-sonnet-5-5", max_tokens: MAX }],
    ];

    beforeAll(async () => {
      const rules = [{ name: "team", key, limits: [limit(LIMIT, { per: "day" })] }];
      gateway = await startLimited({
        ...{ version, config: { rules }, concurrency: 2 },
        replica: { timing: { ...PACED, iterationMs: 4 }, answerTokens: MAX },
      });
    });
    afterAll(() => gateway?.close());

    describe.each(calls)("%s", (api, path, fields) => {
      test.each([
        ["TCP reset", leaveHttp1, 10],
        ["TCP reset", leaveHttp1, 200],
        ["RST_STREAM", leaveHttp2, 200],
      ] as const)("%s: pays for what came", async (way, leave, events) => {
        const name = `${api}-${way}-${events}`;
        const body = JSON.stringify({ ...(api === "responses" ? {} : prompt), ...fields, stream: true });
        const before = gateway.replica.stats();
        const seen = await leave(gateway.url, { path, body, team: name, events });
        await vi.waitFor(() => expect(gateway.replica.stats().aborted).toBe(before.aborted + 1));
        const generated = gateway.replica.stats().tokens - before.tokens;
        const charged = LIMIT - (await leftAtLast(gateway.url, name, (found) => LIMIT - found < MAX));
        console.info(
          `Envoy ${version}, ${api}, ${way}: ${seen} events, ${generated} tokens, ${charged - PROMPT} charged`,
        );
        // Nobody said what it was: by bytes, which an answer that was seen to its end would make more exact.
        expect(charged).toBeGreaterThanOrEqual(100 + seen / 2.5);
        expect(charged).toBeLessThanOrEqual(PROMPT + 2.5 * generated + 10);
      });
    });
  });

  describe("official clients", () => {
    let gateway: LimitedGateway;
    const messages = [{ role: "user" as const, content: "hello" }];

    beforeAll(async () => {
      // A key of its own for each test; a window of a second ends a second after the request that filled it, which no client would wait by itself.
      const rules = [
        { name: "long", match: team("long"), key, limits: [limit(1, { unit: "requests", per: "day" })] },
        {
          name: "short",
          match: team("short"),
          key,
          limits: [limit(1, { unit: "requests", per: "second", rolling: true })],
        },
      ];
      gateway = await startLimited({ version, config: { rules } });
    });
    afterAll(() => gateway?.close());

    const openai = (name: string, maxRetries: number) => {
      const client = new OpenAI({
        baseURL: `${gateway.url}/v1`,
        apiKey: "k",
        maxRetries,
        defaultHeaders: { "x-team": name },
      });
      return () => client.chat.completions.create({ model: "gpt-4o", messages });
    };
    const anthropic = (name: string, maxRetries: number) => {
      const client = new Anthropic({
        baseURL: gateway.url,
        apiKey: "k",
        maxRetries,
        defaultHeaders: { "x-team": name },
      });
      return () => client.messages.create({ model: "claude-sonnet-5-5", max_tokens: 9, messages });
    };
    const clients = [
      ["openai", openai, OpenAI.RateLimitError, { code: "rate_limit_exceeded", type: "rate_limit_error" }],
      ["anthropic", anthropic, Anthropic.RateLimitError, { error: { error: { type: "rate_limit_error" } } }],
    ] as const;

    test.each(clients)(
      "%s: a RateLimitError that says when to come again",
      async (vendor, client, Expected, fields) => {
        const call = client(`long-${vendor}`, 0);
        await call();
        const error = await call().catch((reason: unknown) => reason as InstanceType<typeof Expected>);
        expect(error).toBeInstanceOf(Expected);
        if (!(error instanceof Expected)) return;
        expect(error).toMatchObject({ status: 429, ...fields });
        const left = (86_400_000 - (Date.now() % 86_400_000)) / 1000;
        const after = Number(error.headers?.get("retry-after"));
        expect(Math.abs(((after - left + 43_200) % 86_400) - 43_200)).toBeLessThan(10);
        expect(error.headers?.get("x-ratelimit-remaining-requests")).toBe("0");
      },
    );

    test.each(clients)("%s: comes again when it may, and not before", async (vendor, client) => {
      const call = client(`short-${vendor}`, 1);
      await call();
      gateway.replica.clearRequests();
      const asked = performance.now();
      await call(); // by itself it would come again after half a second, in vain
      expect(performance.now() - asked).toBeGreaterThan(600);
      expect(gateway.replica.requests.length).toBe(1);
    });

    test("openai for Python: the same", async (context) => {
      const found = pythonClients();
      if ("reason" in found) return context.skip(found.reason);
      const script = `
import openai, sys
def client(team, retries):
    return openai.OpenAI(base_url=sys.argv[1] + "/v1", api_key="k", max_retries=retries, default_headers={"x-team": team}).chat.completions
ask = dict(model="gpt-4o", messages=[{"role": "user", "content": "hello"}])
client("short-python", 0).create(**ask)
client("short-python", 1).create(**ask)
client("long-python", 0).create(**ask)
try:
    client("long-python", 0).create(**ask)
except openai.RateLimitError as error:
    print(error.status_code, error.code, error.response.headers["retry-after"] > "0")
`;
      const { stdout } = await promisify(execFile)(found.python, ["-c", script, gateway.url], { timeout: 30_000 });
      expect(stdout.trim()).toBe("429 rate_limit_exceeded True");
    });
  });
});
