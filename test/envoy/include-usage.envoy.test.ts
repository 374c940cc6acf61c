/** Streams of OpenAI's own client through the limiter on real Envoy: they are charged what they used, and show nothing that the client did not ask for. */
import OpenAI from "openai";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { versionsUnderTest } from "../../envoy/harness/index.ts";
import { TIMING_PROFILES } from "../../envoy/replica/index.ts";
import { type LimitedGateway, leftAtLast, startLimited } from "./rate-limit-traffic.ts";

const LIMIT = 100_000;
const TOKENS = 150;
const prompt = "word ".repeat(40);

describe.each(versionsUnderTest())("Envoy %s", (version) => {
  let gateway: LimitedGateway;

  beforeAll(async () => {
    const key = [{ header: "x-team" }];
    const rules = [{ name: "team", key, limits: [{ unit: "tokens", amount: LIMIT, per: "day" }] }];
    const timing = { ...TIMING_PROFILES.instant, iterationMs: 1 };
    gateway = await startLimited({ version, config: { rules }, replica: { timing } });
  });
  afterAll(() => gateway?.close());

  const client = (team: string) =>
    new OpenAI({ baseURL: `${gateway.url}/v1`, apiKey: "k", maxRetries: 0, defaultHeaders: { "x-team": team } });
  // `ignore_eos` is vLLM's: an answer of just so many tokens.
  const exact = { model: "gpt-4o", max_tokens: TOKENS, ignore_eos: true };

  const chat = async (team: string, stream_options?: OpenAI.ChatCompletionStreamOptions | null) => {
    const messages = [{ role: "user" as const, content: prompt }];
    const options = stream_options === undefined ? {} : { stream_options };
    const chunks: OpenAI.ChatCompletionChunk[] = [];
    for await (const chunk of await client(team).chat.completions.create({
      ...exact,
      ...options,
      messages,
      stream: true,
    }))
      chunks.push(chunk);
    return chunks;
  };
  const complete = async (team: string, stream_options?: OpenAI.ChatCompletionStreamOptions | null) => {
    const options = stream_options === undefined ? {} : { stream_options };
    const chunks: OpenAI.Completion[] = [];
    for await (const chunk of await client(team).completions.create({ ...exact, ...options, prompt, stream: true }))
      chunks.push(chunk);
    return chunks;
  };

  describe.each([
    ["chat completions", chat],
    ["completions", complete],
  ] as const)("%s", (api, ask) => {
    test("what was not asked for is counted and not shown; what was is shown", async () => {
      const shown = await ask(`${api} shown`, { include_usage: true });
      const usage = shown.at(-1)?.usage;
      expect([shown.at(-1)?.choices, usage?.completion_tokens]).toEqual([[], TOKENS]);
      const used = usage?.total_tokens ?? 0;
      for (const [name, options] of [
        ["absent", undefined],
        ["null", null],
        ["false", { include_usage: false }],
        ["shown"],
      ] as const) {
        const team = `${api} ${name}`;
        if (name !== "shown") {
          const chunks = await ask(team, options);
          expect(chunks.filter(({ choices }) => choices.length === 0)).toEqual([]);
          expect(chunks.map(({ choices }) => choices[0])).toEqual(shown.slice(0, -1).map(({ choices }) => choices[0]));
          expect(chunks.filter(({ usage: some }) => some)).toEqual([]);
        }
        expect(await leftAtLast(gateway.url, team, (found) => found === LIMIT - used)).toBe(LIMIT - used);
      }
    });
  });

  test("no stream was passed on unfiltered", async () => {
    expect([...(await gateway.envoy.admin.stats("streams_unfiltered")).keys()]).toEqual([]);
  });
});
