import { once } from "node:events";
import { request } from "node:http";
import Anthropic from "@anthropic-ai/sdk";
import OpenAI, { BadRequestError, NotFoundError } from "openai";
import { afterEach, describe, expect, test } from "vitest";
import { type Replica, type ReplicaOptions, startReplica } from "./server.ts";
import { TIMING_PROFILES } from "./timing.ts";

const open: Replica[] = [];

afterEach(async () => {
  for (const replica of open.splice(0)) await replica.close();
});

async function start(
  options: Partial<ReplicaOptions> = {},
): Promise<{ replica: Replica; openai: OpenAI; anthropic: Anthropic }> {
  const replica = await startReplica({ name: "r1", models: ["m1", "m2"], ...options });
  open.push(replica);
  const openai = new OpenAI({ baseURL: `${replica.url}/v1`, apiKey: "none", maxRetries: 0 });
  const anthropic = new Anthropic({ baseURL: replica.url, apiKey: "none", maxRetries: 0 });
  return { replica, openai, anthropic };
}

const hello = [{ role: "user" as const, content: "hello there" }];
const weather = {
  type: "object" as const,
  properties: { city: { type: "string" }, days: { type: "integer" } },
  required: ["city"],
};

describe("OpenAI", () => {
  test("chat completion names model and replica and counts tokens", async () => {
    const { openai } = await start();
    const { data, response } = await openai.chat.completions.create({ model: "m1", messages: hello }).withResponse();
    expect(response.headers.get("x-replica")).toBe("r1");
    expect(data.model).toBe("m1");
    expect(data.choices[0]?.message.content).toMatch(/^model m1 on replica r1: "hello there"/);
    expect(data.choices[0]?.finish_reason).toBe("stop");
    expect(data.usage?.completion_tokens).toBe(24);
    expect(data.usage?.total_tokens).toBe(24 + (data.usage?.prompt_tokens ?? 0));
  });

  test("max_tokens cuts the answer; ignore_eos makes it exactly that long", async () => {
    const { openai } = await start();
    const short = await openai.chat.completions.create({ model: "m1", messages: hello, max_tokens: 3 });
    expect([short.choices[0]?.finish_reason, short.usage?.completion_tokens]).toEqual(["length", 3]);
    const body = { model: "m1", messages: hello, max_tokens: 50, ignore_eos: true };
    const exact = await openai.chat.completions.create(body);
    expect(exact.usage?.completion_tokens).toBe(50);
  });

  test("a stream has the same text; usage comes only when asked for", async () => {
    const { openai } = await start();
    const whole = await openai.chat.completions.create({ model: "m1", messages: hello });
    for (const include_usage of [true, false]) {
      const stream = await openai.chat.completions.create({
        model: "m1",
        messages: hello,
        stream: true,
        stream_options: { include_usage },
      });
      let text = "";
      let usage: OpenAI.CompletionUsage | null | undefined;
      for await (const chunk of stream) {
        text += chunk.choices[0]?.delta.content ?? "";
        usage = chunk.usage ?? usage;
      }
      expect(text).toBe(whole.choices[0]?.message.content);
      expect(usage?.completion_tokens).toBe(include_usage ? 24 : undefined);
    }
  });

  test("an offered tool is called with the required arguments; its result is answered in words", async () => {
    const { openai } = await start();
    const tools = [{ type: "function" as const, function: { name: "weather", parameters: weather } }];
    const called = await openai.chat.completions.create({ model: "m1", messages: hello, tools });
    const message = called.choices[0]?.message;
    const call = message?.tool_calls?.[0];
    if (message === undefined || call?.type !== "function") throw new Error("no tool call");
    expect(called.choices[0]?.finish_reason).toBe("tool_calls");
    expect(JSON.parse(call.function.arguments)).toEqual({ city: "hello there" });

    const runner = openai.chat.completions.stream({ model: "m1", messages: hello, tools });
    const streamed = await runner.finalChatCompletion();
    expect(streamed.choices[0]?.message.tool_calls?.[0]).toMatchObject({ function: call.function });

    const result = { role: "tool" as const, tool_call_id: call.id, content: "sunny" };
    const final = await openai.chat.completions.create({ model: "m1", messages: [...hello, message, result], tools });
    expect(final.choices[0]?.message.content).toContain("model m1");
  });

  test("a repeated prompt is served from the prefix cache, per model", async () => {
    const { openai } = await start();
    const messages = [{ role: "user" as const, content: "long ".repeat(500) }];
    const cached = async (model: string): Promise<number> => {
      const { usage } = await openai.chat.completions.create({ model, messages });
      return usage?.prompt_tokens_details?.cached_tokens ?? -1;
    };
    expect(await cached("m1")).toBe(0);
    expect(await cached("m1")).toBeGreaterThan(580);
    expect(await cached("m2")).toBe(0);
  });

  test("completions, responses, embeddings, models", async () => {
    const { openai } = await start();
    const completion = await openai.completions.create({ model: "m1", prompt: "once" });
    expect(completion.choices[0]?.text).toContain("on replica r1");
    const response = await openai.responses.create({ model: "m1", input: "hi", instructions: "be brief" });
    expect(response.output_text).toContain("on replica r1");
    const streamed = await openai.responses.stream({ model: "m1", input: "hi" }).finalResponse();
    expect(streamed.output_text).toBe(response.output_text);
    const embeddings = await openai.embeddings.create({ model: "m1", input: ["a", "b"] });
    expect(embeddings.data).toHaveLength(2);
    expect(Math.hypot(...(embeddings.data[0]?.embedding ?? []))).toBeCloseTo(1, 5);
    expect((await openai.models.list()).data.map(({ id }) => id)).toEqual(["m1", "m2"]);
    expect((await openai.models.retrieve("m2")).id).toBe("m2");
  });

  test("unknown model, missing fields, invalid JSON", async () => {
    const { replica, openai } = await start();
    await expect(openai.chat.completions.create({ model: "x", messages: hello })).rejects.toThrow(NotFoundError);
    await expect(openai.chat.completions.create({ model: "m1", messages: [] })).rejects.toThrow(BadRequestError);
    const answer = await fetch(`${replica.url}/v1/chat/completions`, { method: "POST", body: "{" });
    expect([answer.status, await answer.json()]).toMatchObject([400, { error: { code: "invalid_json" } }]);
  });

  test("a prompt over the context length is refused", async () => {
    const { openai } = await start({ timing: { ...TIMING_PROFILES.instant, maxModelTokens: 100 } });
    const messages = [{ role: "user" as const, content: "long ".repeat(500) }];
    await expect(openai.chat.completions.create({ model: "m1", messages })).rejects.toMatchObject({
      status: 400,
      code: "context_length_exceeded",
    });
  });
});

describe("Anthropic", () => {
  test("message, stream and tool use", async () => {
    const { anthropic } = await start();
    const body = { model: "m2", max_tokens: 100, messages: hello };
    const whole = await anthropic.messages.create(body);
    expect(whole.content[0]).toMatchObject({ type: "text", text: expect.stringContaining("model m2 on replica r1") });
    expect(whole.usage.output_tokens).toBe(24);
    const streamed = await anthropic.messages.stream(body).finalMessage();
    expect(streamed.content).toEqual(whole.content);
    expect(streamed.usage.output_tokens).toBe(24);
    const tools = [{ name: "weather", input_schema: weather }];
    const called = await anthropic.messages.create({ ...body, tools });
    expect(called.stop_reason).toBe("tool_use");
    const streamedCall = await anthropic.messages.stream({ ...body, tools }).finalMessage();
    expect(streamedCall.content[0]).toMatchObject({ type: "tool_use", input: { city: "hello there" } });
  });

  test("an unknown model is its own error class", async () => {
    const { anthropic } = await start();
    const wanted = anthropic.messages.create({ model: "x", max_tokens: 1, messages: hello });
    await expect(wanted).rejects.toThrow(Anthropic.NotFoundError);
  });
});

describe("HTTP", () => {
  test("a client that leaves frees its slot, so the next one is served", async () => {
    const timing = { ...TIMING_PROFILES.instant, iterationMs: 20, maxSequences: 1 };
    const { replica, openai } = await start({ timing });
    const body = { model: "m1", messages: hello, max_tokens: 60_000, ignore_eos: true };
    const aborter = new AbortController();
    const stream = await openai.chat.completions.create({ ...body, stream: true }, { signal: aborter.signal });
    for await (const _ of stream) break;
    expect(replica.stats().running).toBe(1);
    aborter.abort();
    const next = await openai.chat.completions.create({ model: "m1", messages: hello, max_tokens: 1 });
    expect(next.usage?.completion_tokens).toBe(1);
    expect(replica.stats()).toMatchObject({ aborted: 1, served: 1, running: 0 });
  });

  test("echo gives every byte back and the request is recorded as it came", async () => {
    const { replica } = await start();
    const body = Buffer.from([0, 255, 10, 13, 0]);
    const answer = await fetch(`${replica.url}/echo/a?b=c`, { method: "PUT", body, headers: { "X-Mixed-Case": "1" } });
    expect(Buffer.from(await answer.arrayBuffer()).equals(body)).toBe(true);
    expect(replica.requests.at(-1)).toMatchObject({ method: "PUT", path: "/echo/a?b=c", body });
  });

  test("only the last requests are kept", async () => {
    const { replica } = await start({ keepRequests: 2 });
    for (const n of [1, 2, 3]) await fetch(`${replica.url}/echo/${n}`);
    expect(replica.requests.map(({ path }) => path)).toEqual(["/echo/2", "/echo/3"]);
  });

  test("a body over the limit is answered with 413 and not kept", async () => {
    const { replica } = await start();
    const upload = request(`${replica.url}/v1/chat/completions`, { method: "POST" });
    const block = Buffer.alloc(8 * 1024 * 1024, 32);
    for (let i = 0; i < 9; i++) upload.write(block);
    upload.end();
    const [answer] = await once(upload, "response");
    expect(answer.statusCode).toBe(413);
    answer.resume();
    expect(replica.requests.at(-1)?.body).toHaveLength(0);
  });

  test("metrics carry the names of vLLM", async () => {
    const { replica, openai } = await start();
    const messages = [{ role: "user" as const, content: "long ".repeat(100) }];
    for (let i = 0; i < 2; i++) await openai.chat.completions.create({ model: "m1", messages });
    const text = await (await fetch(`${replica.url}/metrics`)).text();
    const value = (name: string): number => Number(new RegExp(`^${name}(?:\\{[^}]*\\})? (\\S+)$`, "m").exec(text)?.[1]);
    expect(value("vllm:num_requests_running")).toBe(0);
    expect(value("vllm:num_requests_waiting")).toBe(0);
    expect(value("vllm:kv_cache_usage_perc")).toBe(0);
    expect(value("vllm:gpu_cache_usage_perc")).toBe(0);
    expect(value("vllm:prefix_cache_queries_total")).toBeGreaterThan(value("vllm:prefix_cache_hits_total"));
    expect(value("vllm:prefix_cache_hits_total")).toBeGreaterThan(100);
    expect(value("vllm:generation_tokens_total")).toBe(48);
    expect(value("vllm:e2e_request_latency_seconds_count")).toBe(2);
    expect(value("vllm:time_to_first_token_seconds_count")).toBe(2);
    expect(value("vllm:inter_token_latency_seconds_count")).toBe(46);
  });
});
