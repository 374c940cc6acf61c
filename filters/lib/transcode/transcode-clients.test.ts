import { createAnthropic } from "@ai-sdk/anthropic";
import { createOpenAI } from "@ai-sdk/openai";
import Anthropic from "@anthropic-ai/sdk";
import { generateText, type LanguageModel, streamText } from "ai";
import OpenAI from "openai";
import { describe, expect, it } from "vitest";
import { type Api, toDocument, toStream } from "../../../test/lib/transcode-driver.ts";
import { type Recorded, recordedAnswers } from "../../../test/lib/transcode-reference.ts";

/** The clients that people use make the same of an answer and of its other form. */

const options = (body: Buffer, type: string) => ({
  apiKey: "none",
  baseURL: "http://provider.test",
  maxRetries: 0,
  fetch: (async () =>
    new Response(new Uint8Array(body), { headers: { "content-type": type } })) as unknown as typeof globalThis.fetch,
});

const json = (body: Buffer) => options(body, "application/json");
const sse = (body: Buffer) => options(body, "text/event-stream");

/** What clients add to answers. */
const added = new Set(["parsed", "parsed_arguments", "parsed_output", "output_parsed", "output_text"]);

function plain(value: unknown): unknown {
  return JSON.parse(JSON.stringify(value, (key, part) => (added.has(key) ? undefined : part)));
}

interface Completion {
  choices: Record<string, unknown>[];
}

/** Chunks of completions, which the client does not put together. */
async function completion(body: Buffer): Promise<unknown> {
  let whole: Completion | undefined;
  const stream = await new OpenAI(sse(body)).completions.create({ model: "m", prompt: "", stream: true });
  for await (const { choices, usage, ...rest } of stream) {
    whole ??= { choices: [] };
    Object.assign(whole, rest, usage ? { usage } : {});
    for (const { text, finish_reason, ...other } of choices) {
      whole.choices[other.index] ??= { text: "" };
      const choice = whole.choices[other.index] as Record<string, unknown>;
      choice.text = `${String(choice.text)}${text ?? ""}`;
      Object.assign(choice, other, finish_reason ? { finish_reason } : {});
    }
  }
  return whole;
}

async function readDocument(api: Api, body: Buffer): Promise<unknown> {
  const openai = new OpenAI(json(body));
  if (api === "chat") return openai.chat.completions.create({ model: "m", messages: [] });
  if (api === "completions") return openai.completions.create({ model: "m", prompt: "" });
  if (api === "responses") return openai.responses.create({ model: "m", input: "" });
  return new Anthropic(json(body)).messages.create({ model: "m", max_tokens: 9, messages: [] });
}

async function readStream(api: Api, body: Buffer): Promise<unknown> {
  const openai = new OpenAI(sse(body));
  if (api === "chat") return openai.chat.completions.stream({ model: "m", messages: [] }).finalChatCompletion();
  if (api === "completions") return completion(body);
  if (api === "responses") return openai.responses.stream({ model: "m", input: "" }).finalResponse();
  return new Anthropic(sse(body)).messages.stream({ model: "m", max_tokens: 9, messages: [] }).finalMessage();
}

/** Streams whose events lack fields without which the accumulating helper of the client fails. */
const incomplete = new Set([
  "recorded-litellm-responses-stream-tools",
  "recorded-llamacpp-responses-stream",
  "recorded-llamacpp-responses-stream-tools",
]);

/** With null for what a helper leaves out, or adds. */
function aligned(api: Api, value: unknown): Answer {
  const whole = plain(value) as Answer;
  if (api === "anthropic") whole.stop_sequence ??= null;
  if (api !== "chat") return whole;
  for (const choice of whole.choices) {
    choice.message.content ||= null;
    choice.message.refusal ??= null;
    choice.logprobs ??= null;
  }
  // Chunks are put together under the name of the first.
  if (whole.object === "chat.completion.chunk") whole.object = "chat.completion";
  delete whole.obfuscation;
  return whole;
}

interface Answer {
  object?: string;
  obfuscation?: string;
  stop_sequence?: string | null;
  usage?: { prompt_tokens?: number } | null;
  choices: { message: Record<string, unknown>; logprobs?: unknown }[];
}

/** An answer in both forms. */
interface Pair {
  readonly name: string;
  readonly api: Api;
  readonly document: Buffer;
  readonly stream: Buffer;
}

function pairOf({ name, api, streamed, body }: Recorded): Pair[] {
  const other = streamed ? toDocument(api, body, [1, 1]) : toStream(api, body);
  if (other === undefined) return [];
  return [{ name, api, document: streamed ? other : body, stream: streamed ? body : other }];
}

const pairs = recordedAnswers.flatMap(pairOf);

describe.each(pairs)("$name", ({ name, api, document, stream }) => {
  it("is the same in both forms for the official client", async () => {
    if (incomplete.has(name)) {
      await expect(readStream(api, stream)).rejects.toThrow();
      return;
    }
    const whole = aligned(api, await readDocument(api, document));
    const put = aligned(api, await readStream(api, stream));
    // Not every stream reports its usage; the helper keeps only the last piece of what its types do not know.
    if (!put.usage?.prompt_tokens && api !== "anthropic") put.usage = whole.usage ?? null;
    for (const [index, { message }] of (api === "chat" ? whole.choices : []).entries()) {
      const reasoning = put.choices[index]?.message ?? {};
      if ("reasoning_content" in message) reasoning.reasoning_content = message.reasoning_content;
    }
    expect(put).toEqual(whole);
  });

  it("is the same from a stream that was made of it", async () => {
    const made = toStream(api, document);
    const whole = aligned(api, await readDocument(api, document));
    expect(aligned(api, await readStream(api, made as Buffer))).toEqual(whole);
  });
});

type Options = ReturnType<typeof options>;

const models: Partial<Record<Api, (settings: Options) => LanguageModel>> = {
  chat: (settings) => createOpenAI(settings).chat("m"),
  completions: (settings) => createOpenAI(settings).completion("m"),
  responses: (settings) => createOpenAI(settings).responses("m"),
  anthropic: (settings) => createAnthropic(settings)("m"),
};

describe.each(pairs)("$name", ({ api, document }) => {
  it("is the same from a stream that was made of it for the AI SDK", async () => {
    const model = models[api] as (settings: Options) => LanguageModel;
    const whole = await generateText({
      model: model(json(document)),
      prompt: "hello",
      maxOutputTokens: 9,
      maxRetries: 0,
    });
    const errors: unknown[] = [];
    const stream = streamText({
      model: model(sse(toStream(api, document) as Buffer)),
      prompt: "hello",
      maxOutputTokens: 9,
      maxRetries: 0,
      onError: ({ error }) => void errors.push(error),
    });
    await stream.consumeStream();
    expect(errors).toEqual([]);
    const said = async (result: typeof whole | typeof stream) => ({
      text: await result.text,
      reasoning: await result.reasoningText,
      calls: (await result.toolCalls).map(({ toolName, input, toolCallId }) => ({ toolName, input, toolCallId })),
      reason: await result.finishReason,
      usage: await result.totalUsage,
    });
    const plainUsage = ({ usage, ...rest }: Awaited<ReturnType<typeof said>>) => ({
      ...rest,
      usage: usage.outputTokens,
    });
    expect(plainUsage(await said(stream))).toEqual(plainUsage(await said(whole)));
  });
});
