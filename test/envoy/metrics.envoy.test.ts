/** What Prometheus gets to see of LLM calls, with the shipped bootstraps: right counts, right sums, and no more series than are configured. */
import { afterEach, describe, expect, test } from "vitest";
import { type JsonObject, waitFor } from "../../envoy/harness/index.ts";
import { type Gateway, type GatewayOptions, WAYS, type Way } from "./gateways.ts";
import { http1, type RawAnswer } from "./http-client.ts";
import { type Family, parsePrometheus, type Sample } from "./prometheus-text.ts";

const MODELS = ["gpt-4.1", "org/llama-3.1-8b:free", "claude-haiku-5-5", "text-embedding-3", "gemini-3"];
const ROUTER: JsonObject = {
  models: [
    { model: "gpt-4.1", route: "gpt" },
    { model: "org/llama-3.1-8b:free", route: "gpt" },
    { model: "text-embedding-3", route: "gpt" },
    { model: "gemini-3", route: "gpt" },
    { model: "claude-haiku-5-5", route: "claude" },
    { model: "free-*", route: "gpt", upstreamModel: "gpt-4.1" },
  ],
  onUnknownModel: { route: "claude", upstreamModel: "claude-haiku-5-5" },
};

let gateway: Gateway | undefined;
afterEach(async () => {
  await gateway?.close();
  gateway = undefined;
});

async function start(way: Way, options: GatewayOptions = {}): Promise<Gateway> {
  const bootstrap = { stats_flush_interval: "0.1s" };
  gateway = await way.start({ router: ROUTER, replica: { models: MODELS }, bootstrap, ...options });
  return gateway;
}

/** Tokens of one call, as its answer says them. */
interface Usage {
  readonly input: number;
  readonly output: number | undefined;
  readonly cached: number;
}

type Fields = Readonly<Record<string, number | undefined>>;

/** The last usage of the answer, whole or streamed, in whichever vendor's words. */
function usageOf(answer: RawAnswer): Usage {
  const text = answer.body.toString();
  const documents = text.startsWith("{") ? [text] : [...text.matchAll(/^data: (\{.*)$/gm)].map(([, json = ""]) => json);
  let usage: Usage = { input: 0, output: undefined, cached: 0 };
  for (const json of documents) {
    const event = JSON.parse(json) as { usage?: Fields | null; usageMetadata?: Fields; message?: { usage: Fields } };
    const fields = event.usage ?? event.message?.usage ?? event.usageMetadata;
    if (fields === undefined || fields === null) continue;
    const details = (fields.prompt_tokens_details ?? {}) as Fields;
    const cached =
      details.cached_tokens ?? fields.cache_read_input_tokens ?? fields.cachedContentTokenCount ?? usage.cached;
    // Anthropic counts cached tokens apart, the others within.
    const read =
      fields.input_tokens === undefined ? undefined : fields.input_tokens + (fields.cache_read_input_tokens ?? 0);
    usage = {
      input: fields.prompt_tokens ?? read ?? fields.promptTokenCount ?? usage.input,
      output: fields.completion_tokens ?? fields.output_tokens ?? fields.candidatesTokenCount ?? usage.output,
      cached,
    };
  }
  return usage;
}

interface Call {
  readonly path: string;
  readonly model: string;
  readonly body: JsonObject;
  readonly streamed: boolean;
  /** Labels it counts under. */
  readonly labels: Readonly<Record<string, string>>;
}

function labels(model: string, operation: string, provider: string): Call["labels"] {
  return { gen_ai_request_model: model, gen_ai_operation_name: operation, gen_ai_provider_name: provider };
}

function calls(): Call[] {
  const list: Call[] = [];
  for (let i = 0; i < 6; i++) {
    const streamed = i % 2 === 1;
    const messages = [{ role: "user", content: "word ".repeat(1 + i * 300) }];
    const chat = { messages, stream: streamed, max_tokens: 3 + 20 * i, stream_options: { include_usage: true } };
    for (const model of ["gpt-4.1", "org/llama-3.1-8b:free"]) {
      list.push({
        path: "/v1/chat/completions",
        model,
        streamed,
        body: { ...chat, model },
        labels: labels(model, "chat", "gpt"),
      });
    }
    const claude = { model: "claude-haiku-5-5", messages, stream: streamed, max_tokens: 5 + i };
    list.push({
      path: "/v1/messages",
      model: claude.model,
      streamed,
      body: claude,
      labels: labels(claude.model, "chat", "claude"),
    });
    const free = { ...chat, model: `free-${i}` };
    list.push({
      path: "/v1/chat/completions",
      model: free.model,
      streamed,
      body: free,
      labels: labels("other", "chat", "gpt"),
    });
    const method = streamed ? "streamGenerateContent?alt=sse" : "generateContent";
    list.push({
      path: `/v1beta/models/gemini-3:${method}`,
      model: "gemini-3",
      streamed,
      body: { contents: [{ parts: [{ text: "hello ".repeat(1 + i) }] }] },
      labels: labels("gemini-3", "generate_content", "gpt"),
    });
  }
  const embedding = { model: "text-embedding-3", input: ["one", "two and three"] };
  list.push({
    path: "/v1/embeddings",
    model: embedding.model,
    streamed: false,
    body: embedding,
    labels: labels(embedding.model, "embeddings", "gpt"),
  });
  return list;
}

const scrape = async ({ envoy }: Gateway): Promise<Map<string, Family>> =>
  parsePrometheus(await envoy.admin.get("/stats/prometheus"));

function find(
  families: Map<string, Family>,
  family: string,
  name: string,
  wanted: Readonly<Record<string, string>>,
): Sample | undefined {
  const key = (all: Readonly<Record<string, string>>): string => JSON.stringify(Object.entries(all).sort());
  return families.get(family)?.samples.find((one) => one.name === name && key(one.labels) === key(wanted));
}

/** Calls that were measured, over all series. */
function measured(families: Map<string, Family>): number {
  const samples = families.get("gen_ai_server_request_duration")?.samples ?? [];
  return samples.filter(({ name }) => name.endsWith("_count")).reduce((sum, { value }) => sum + value, 0);
}

const settled = (one: Gateway, count: number): Promise<Map<string, Family>> =>
  waitFor(
    async () => {
      const families = await scrape(one);
      return measured(families) >= count ? families : undefined;
    },
    { what: `${count} measured calls` },
  );

describe.each(WAYS)("$name", (way) => {
  test("tokens and times of every call, under the labels of OpenTelemetry", async () => {
    const one = await start(way);
    const startedAt = performance.now();
    const list = calls();
    const usages: Usage[] = [];
    for (const { path, body } of list) {
      const answer = await http1(one.url, {
        path,
        body: JSON.stringify(body),
        headers: { "content-type": "application/json" },
      });
      expect([path, answer.status]).toEqual([path, 200]);
      usages.push(usageOf(answer));
    }
    const elapsedUs = (performance.now() - startedAt) * 1000;
    // Neither is a routed call.
    await http1(one.url, { path: "/v1/chat/completions", body: "{" });
    await http1(one.url, { method: "GET", path: "/v1/models" });
    const families = await settled(one, list.length);
    expect(measured(families)).toBe(list.length);

    for (const series of new Set(list.map(({ labels }) => labels))) {
      const mine = list.flatMap((call, i) =>
        JSON.stringify(call.labels) === JSON.stringify(series) ? [{ call, usage: usages[i] as Usage }] : [],
      );
      const tokens: Readonly<Record<string, readonly number[]>> = {
        input: mine.map(({ usage }) => usage.input),
        output: mine.flatMap(({ usage }) => usage.output ?? []),
        cached: mine.map(({ usage }) => usage.cached).filter((count) => count > 0),
      };
      for (const [type, counts] of Object.entries(tokens)) {
        const wanted = { ...series, gen_ai_token_type: type };
        const sum = counts.reduce((total, count) => total + count, 0);
        const usage = (name: string) =>
          find(families, "gen_ai_client_token_usage", `gen_ai_client_token_usage_${name}`, wanted)?.value;
        if (counts.length === 0) {
          expect([wanted, usage("count")]).toEqual([wanted, undefined]);
          continue;
        }
        expect([wanted, usage("count")]).toEqual([wanted, counts.length]);
        expect([wanted, find(families, "gen_ai_client_tokens", "gen_ai_client_tokens", wanted)?.value]).toEqual([
          wanted,
          sum,
        ]);
        expect(Math.abs((usage("sum") ?? 0) - sum)).toBeLessThanOrEqual(sum * 0.05); // what Envoy's histograms keep
        for (const bound of [1, 4, 16, 64, 256, 1024, 4096]) {
          if (counts.some((count) => Math.abs(count - bound) <= bound * 0.1)) continue;
          const bucket = find(families, "gen_ai_client_token_usage", "gen_ai_client_token_usage_bucket", {
            ...wanted,
            le: String(bound),
          });
          expect([wanted, bound, bucket?.value]).toEqual([
            wanted,
            bound,
            counts.filter((count) => count <= bound).length,
          ]);
        }
      }
      const times = (family: string, name: string) => find(families, family, `${family}_${name}`, series)?.value;
      const streamed = mine.filter(({ call }) => call.streamed).length;
      expect(times("gen_ai_server_request_duration", "count")).toBe(mine.length);
      expect(times("gen_ai_server_request_duration", "sum")).toBeGreaterThan(0);
      expect(times("gen_ai_server_request_duration", "sum")).toBeLessThan(elapsedUs);
      expect(times("gen_ai_server_time_to_first_token", "count")).toBe(streamed || undefined);
      expect(times("gen_ai_server_time_per_output_token", "count")).toBe(streamed || undefined);
    }
  });

  test("200 names that nobody configured are one series", async () => {
    const one = await start(way);
    const names = Array.from({ length: 200 }, (_, i) => (i % 2 ? `free-${i}` : `name;of=a|model "${i}"\\é\u0000`));
    const body = (model: string) =>
      JSON.stringify({ model, messages: [{ role: "user", content: "x" }], max_tokens: 1 });
    const answers = await Promise.all(
      names.map((name) => http1(one.url, { path: "/v1/chat/completions", body: body(name) })),
    );
    expect(answers.map(({ status }) => status)).toEqual(names.map(() => 200));
    const families = await settled(one, names.length);
    const values = new Set(
      [...families.values()].flatMap(({ samples }) =>
        samples.flatMap(({ labels }) => labels.gen_ai_request_model ?? []),
      ),
    );
    expect([...values]).toEqual(["other"]);
    for (const provider of ["gpt", "claude"]) {
      const wanted = { ...labels("other", "chat", provider), gen_ai_token_type: "output" };
      expect(find(families, "gen_ai_client_tokens", "gen_ai_client_tokens", wanted)?.value).toBe(100);
    }
    const series = [...families].filter(([name]) => name.startsWith("gen_ai")).flatMap(([, { samples }]) => samples);
    expect(new Set(series.map(({ labels: { le: _, ...rest } }) => JSON.stringify(rest))).size).toBeLessThanOrEqual(
      2 * 3,
    );
  });

  test("metrics.models says which models have series; a name that would break a label is made harmless", async () => {
    const odd = 'we;ird=mo|del "q" \\é';
    const one = await start(way, { router: { ...ROUTER, metrics: { models: ["free-1", odd] } } });
    for (const model of ["free-1", "free-2", "gpt-4.1", odd]) {
      await http1(one.url, {
        path: "/v1/chat/completions",
        body: JSON.stringify({ model, messages: [{ role: "user", content: "x" }] }),
      });
    }
    const families = await settled(one, 4);
    const names = families.get("gen_ai_client_tokens")?.samples.map(({ labels }) => labels.gen_ai_request_model);
    expect([...new Set(names)].sort()).toEqual(["free-1", "other", 'we_ird_mo_del_"q"_\\__']);
  });

  test("metrics.enabled: false writes none", async () => {
    const one = await start(way, { router: { ...ROUTER, metrics: { enabled: false } } });
    await http1(one.url, {
      path: "/v1/chat/completions",
      body: '{"model":"gpt-4.1","messages":[{"role":"user","content":"x"}]}',
    });
    const uptime = async () => (await one.envoy.admin.stats("server.uptime")).get("server.uptime") ?? 0;
    const before = await uptime();
    await waitFor(async () => (await uptime()) > before + 1, { what: "two ticks of the filter and more" });
    expect([...(await scrape(one)).keys()].filter((name) => name.startsWith("gen_ai"))).toEqual([]);
  });
});
