/** The official clients of both vendors through a real Envoy: what a user's program sees. */
import { execFile } from "node:child_process";
import { join } from "node:path";
import { promisify } from "node:util";
import Anthropic from "@anthropic-ai/sdk";
import OpenAI from "openai";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { projectRoot, pythonClients } from "../../envoy/harness/index.ts";
import { type Gateway, WAYS } from "./gateways.ts";

const messages = [{ role: "user" as const, content: "hello there" }];
const schema = { type: "object" as const, properties: { city: { type: "string" } }, required: ["city"] };

describe.each(WAYS)("$name", (way) => {
  let gateway: Gateway;
  let openai: OpenAI;
  let anthropic: Anthropic;

  beforeAll(async () => {
    gateway = await way.start();
    openai = new OpenAI({ baseURL: `${gateway.url}/v1`, apiKey: "none", maxRetries: 0 });
    anthropic = new Anthropic({ baseURL: gateway.url, apiKey: "none", maxRetries: 0 });
  });
  afterAll(() => gateway?.close());

  describe("openai", () => {
    test("chat completion: routed by model, answered by the upstream's model", async () => {
      const { data, response } = await openai.chat.completions.create({ model: "gpt-4o", messages }).withResponse();
      expect(data.model).toBe("gpt-4o-mini");
      expect(data.choices[0]?.message.content).toContain("hello there");
      expect(data.usage?.total_tokens).toBeGreaterThan(20);
      expect(response.headers.get("x-replica")).toMatch(/^gpt-/);
    });

    test("stream: the same text in pieces, usage at the end", async () => {
      const whole = await openai.chat.completions.create({ model: "claude-sonnet-5-5", messages });
      const pieces: string[] = [];
      let usage: OpenAI.CompletionUsage | null | undefined;
      const options = { stream: true as const, stream_options: { include_usage: true } };
      for await (const chunk of await openai.chat.completions.create({
        model: "claude-sonnet-5-5",
        messages,
        ...options,
      })) {
        const text = chunk.choices[0]?.delta.content;
        if (text) pieces.push(text);
        usage = chunk.usage ?? usage;
      }
      const withoutReplica = (text: string | null | undefined): string | undefined => text?.replace(/claude-[ab]/, "");
      expect(pieces).toHaveLength(24);
      expect(withoutReplica(pieces.join(""))).toBe(withoutReplica(whole.choices[0]?.message.content));
      expect(usage?.completion_tokens).toBe(24);
    });

    test("tools, completions, responses, embeddings, models", async () => {
      const tools = [{ type: "function" as const, function: { name: "weather", parameters: schema } }];
      const called = await openai.chat.completions.stream({ model: "gpt-4o", messages, tools }).finalChatCompletion();
      expect(called.choices[0]?.finish_reason).toBe("tool_calls");
      const completion = await openai.completions.create({ model: "gpt-4o", prompt: "once" });
      expect(completion.choices[0]?.text).toContain("model gpt-4o-mini");
      const response = await openai.responses.create({ model: "gpt-4o", input: "hi" });
      expect(response.output_text).toContain("model gpt-4o-mini");
      const streamed = await openai.responses.stream({ model: "gpt-4o", input: "hi" }).finalResponse();
      expect(streamed.output_text).toContain("model gpt-4o-mini");
      expect((await openai.embeddings.create({ model: "gpt-4o", input: "a" })).data).toHaveLength(1);
      expect((await openai.models.list()).data.length).toBeGreaterThan(1);
    });

    test("an unknown model is a NotFoundError that names it", async () => {
      const wanted = openai.chat.completions.create({ model: "llama-9", messages });
      await expect(wanted).rejects.toThrow(OpenAI.NotFoundError);
      await expect(openai.chat.completions.create({ model: "llama-9", messages, stream: true })).rejects.toMatchObject({
        status: 404,
        code: "model_not_found",
        type: "invalid_request_error",
        param: "model",
        message: expect.stringContaining("llama-9"),
      });
    });

    test("a missing model is a BadRequestError", async () => {
      const body = { messages } as unknown as OpenAI.ChatCompletionCreateParamsNonStreaming;
      await expect(openai.chat.completions.create(body)).rejects.toThrow(OpenAI.BadRequestError);
      await expect(openai.chat.completions.create(body)).rejects.toMatchObject({
        code: "model_required",
        param: "model",
      });
    });

    test("malformed JSON is a BadRequestError", async () => {
      const headers = { "content-type": "application/json" };
      const broken = openai.post("/chat/completions", {
        body: Buffer.from('{"model": "gpt-4o", "messages": ['),
        headers,
      });
      await expect(broken).rejects.toThrow(OpenAI.BadRequestError);
      const again = openai.post("/chat/completions", { body: Buffer.from("not json"), headers });
      await expect(again).rejects.toMatchObject({ status: 400, code: "invalid_json" });
    });
  });

  describe("anthropic", () => {
    const body = { model: "claude-sonnet-5-5", max_tokens: 100, messages };

    test("message and stream", async () => {
      const whole = await anthropic.messages.create(body);
      expect(whole.content[0]).toMatchObject({
        type: "text",
        text: expect.stringContaining("model claude-sonnet-5-5"),
      });
      const streamed = await anthropic.messages.stream(body).finalMessage();
      expect(streamed.usage.output_tokens).toBe(whole.usage.output_tokens);
      const tools = [{ name: "weather", input_schema: schema }];
      const called = await anthropic.messages.stream({ ...body, tools }).finalMessage();
      expect(called.content[0]).toMatchObject({ type: "tool_use", input: { city: "hello there" } });
    });

    test("errors have the classes and types of the vendor's own API", async () => {
      const unknown = anthropic.messages.create({ ...body, model: "llama-9" });
      await expect(unknown).rejects.toThrow(Anthropic.NotFoundError);
      await expect(anthropic.messages.create({ ...body, model: "llama-9" })).rejects.toMatchObject({
        status: 404,
        error: { type: "error", error: { type: "not_found_error", message: expect.stringContaining("llama-9") } },
      });
      const missing = { max_tokens: 1, messages } as unknown as Anthropic.MessageCreateParamsNonStreaming;
      await expect(anthropic.messages.create(missing)).rejects.toThrow(Anthropic.BadRequestError);
      const broken = anthropic.post("/v1/messages", {
        body: Buffer.from("{"),
        headers: { "content-type": "application/json" },
      });
      await expect(broken).rejects.toThrow(Anthropic.BadRequestError);
    });
  });

  test("openai for Python: chat, stream, errors", async (context) => {
    const found = pythonClients();
    if ("reason" in found) {
      console.warn(`python client not tested: ${found.reason}`);
      return context.skip(found.reason);
    }
    const script = join(projectRoot(), "test/clients/chat.py");
    const { stdout } = await promisify(execFile)(found.python, [script, gateway.url], { timeout: 40_000 });
    const report = JSON.parse(stdout) as Record<string, unknown>;
    expect(report).toMatchObject({
      chat: { model: "gpt-4o-mini", text: expect.stringContaining("héllo from python") },
      stream: { text: expect.stringContaining("héllo from python"), completion_tokens: 24 },
      errors: [
        ["NotFoundError", 404, "model_not_found"],
        ["BadRequestError", 400, "model_required"],
      ],
    });
  });
});
