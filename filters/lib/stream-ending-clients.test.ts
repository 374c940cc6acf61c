import { createAnthropic } from "@ai-sdk/anthropic";
import { createGoogleGenerativeAI } from "@ai-sdk/google";
import { createOpenAI } from "@ai-sdk/openai";
import Anthropic from "@anthropic-ai/sdk";
import { GoogleGenAI } from "@google/genai";
import { type LanguageModel, streamText } from "ai";
import OpenAI from "openai";
import { afterEach, describe, expect, it, vi } from "vitest";
import { type Api, moments, piecesOf, type Stream, type Usage } from "../../test/lib/stream-ending-driver.ts";
import { decode, overAt } from "../../test/lib/stream-ending-reference.ts";
import { transcripts } from "../../test/lib/transcripts.ts";

/** Streams that were ended after each of their events, read by the clients that people use: they know best whether a stream is whole. */

const shortNames: Record<string, Api> = {
  "openai.chat": "chat",
  "openai.completions": "completions",
  "openai.responses": "responses",
  "anthropic.messages": "anthropic",
  "gemini.generate": "gemini",
};

interface Recorded extends Stream {
  readonly name: string;
}

const streams: Recorded[] = transcripts
  .filter(({ api, answerType }) => api in shortNames && answerType.startsWith("text/event-stream"))
  .map(({ api, name, answerBody }) => ({ name, api: shortNames[api] as Api, bytes: answerBody }));

const usage: Usage = { asked: true, input: 12, output: 34 };

/** The stream ended behind each of its events: what had passed, and all that the client gets. */
function* endedStreams(stream: Stream): Generator<{ passed: string; whole: Buffer }> {
  const cuts = new Set<number>();
  for (const { cut, over, ending } of moments(stream, piecesOf(stream.bytes.length, 1), usage)) {
    if (over || cut === undefined || cuts.has(cut)) continue;
    cuts.add(cut);
    const passed = stream.bytes.subarray(0, cut);
    yield { passed: passed.toString(), whole: Buffer.concat([passed, Buffer.from(ending)]) };
  }
  expect(cuts.size).toBeGreaterThan(overAt(stream) < Infinity ? 2 : 1);
}

/** A server's answer of these bytes, in pieces of `step`. */
function answer(bytes: Buffer, step: number): typeof fetch {
  return async () => {
    const body = new ReadableStream<Uint8Array>({
      start(controller) {
        for (let at = 0; at < bytes.length; at += step)
          controller.enqueue(new Uint8Array(bytes.subarray(at, at + step)));
        controller.close();
      },
    });
    return new Response(body, { headers: { "content-type": "text/event-stream" } });
  };
}

const options = (fetch: unknown) => ({
  apiKey: "none",
  baseURL: "http://provider.test",
  maxRetries: 0,
  fetch: fetch as typeof globalThis.fetch,
});

interface Choice {
  index?: number;
  text?: string;
  delta?: { content?: string | null; text?: string };
  finish_reason?: string | null;
  finishReason?: string;
  content?: { parts?: { text?: string; thought?: boolean }[] };
}

interface Document {
  type?: string;
  delta?: string | { type?: string; text?: string; stop_reason?: string };
  choices?: Choice[];
  candidates?: Choice[];
}

/** What a client should make of what passed: text and reason for the end, by choice. */
interface Expected {
  text: Record<number, string>;
  reason: Record<number, string>;
}

function expectedOf(api: Api, passed: string): Expected {
  const expected: Expected = { text: {}, reason: {} };
  const limit = {
    chat: "length",
    completions: "length",
    responses: "max_output_tokens",
    anthropic: "max_tokens",
    gemini: "MAX_TOKENS",
  };
  const say = (index: number, text: string, reason?: string | null) => {
    expected.text[index] = (expected.text[index] ?? "") + text;
    if (typeof reason === "string") expected.reason[index] = reason;
  };
  for (const { data } of decode(passed)) {
    if (data === "[DONE]") continue;
    const { type, delta, choices, candidates } = JSON.parse(data) as Document;
    for (const one of choices ?? []) say(one.index ?? 0, one.text ?? one.delta?.content ?? "", one.finish_reason);
    for (const one of candidates ?? []) {
      const spoken = (one.content?.parts ?? []).filter((part) => part.thought !== true);
      say(one.index ?? 0, spoken.map((part) => part.text ?? "").join(""), one.finishReason);
    }
    if (type === "response.output_text.delta" && typeof delta === "string") say(0, delta);
    if (type === "content_block_delta" && typeof delta === "object") say(0, delta.text ?? "");
    if (type === "message_delta" && typeof delta === "object") say(0, "", delta.stop_reason);
  }
  if (Object.keys(expected.text).length === 0) say(0, "");
  for (const index of Object.keys(expected.text)) expected.reason[Number(index)] ??= limit[api as keyof typeof limit];
  return expected;
}

/** What the official client makes of it, event by event. */
async function read(api: Api, whole: Buffer, step: number): Promise<Expected & { usage?: unknown; last?: unknown }> {
  const found: Expected & { usage?: unknown; last?: unknown } = { text: {}, reason: {} };
  const say = (index: number, text: string, reason?: string | null) => {
    found.text[index] = (found.text[index] ?? "") + text;
    if (typeof reason === "string") found.reason[index] = reason;
  };
  const client = options(answer(whole, step));
  const openai = new OpenAI(client);
  switch (api) {
    case "chat":
      for await (const chunk of await openai.chat.completions.create({ model: "m", messages: [], stream: true })) {
        for (const one of chunk.choices) say(one.index, one.delta?.content ?? "", one.finish_reason);
        if (chunk.usage) found.usage = chunk.usage;
      }
      break;
    case "completions":
      for await (const chunk of await openai.completions.create({ model: "m", prompt: "", stream: true })) {
        for (const one of chunk.choices) say(one.index ?? 0, one.text ?? "", one.finish_reason);
        if (chunk.usage) found.usage = chunk.usage;
      }
      break;
    case "responses": {
      let number = -1;
      for await (const event of await openai.responses.create({ model: "m", input: "", stream: true })) {
        if (event.type === "response.output_text.delta") say(0, event.delta);
        if (event.type === "response.incomplete") {
          say(0, "", event.response.incomplete_details?.reason);
          found.usage = event.response.usage;
          if (number >= 0) expect(event.sequence_number).toBe(number + 1);
        }
        if (event.sequence_number !== undefined) number = event.sequence_number;
        found.last = event.type;
      }
      break;
    }
    case "anthropic": {
      const stream = new Anthropic(client).messages.stream({ model: "m", max_tokens: 9, messages: [] });
      stream.on("text", (text) => say(0, text));
      const message = await stream.finalMessage();
      say(0, "", message.stop_reason);
      found.usage = message.usage.output_tokens;
      break;
    }
    default: {
      vi.stubGlobal("fetch", answer(whole, step));
      const google = new GoogleGenAI({ apiKey: "none" });
      for await (const chunk of await google.models.generateContentStream({ model: "m", contents: "" })) {
        for (const one of chunk.candidates ?? []) {
          const spoken = (one.content?.parts ?? []).filter((part) => part.thought !== true);
          say(one.index ?? 0, spoken.map((part) => part.text ?? "").join(""), one.finishReason);
        }
        if (chunk.usageMetadata) found.usage = chunk.usageMetadata;
      }
    }
  }
  return found;
}

/** These lack fields, as the servers sent them, without which no client but the plain one takes them. */
const incomplete = new Set([
  "recorded-litellm-completions-stream",
  "recorded-litellm-completions-stream-counted",
  "recorded-litellm-responses-stream-tools",
  "recorded-llamacpp-responses-stream",
  "recorded-llamacpp-responses-stream-tools",
]);

type Options = ReturnType<typeof options>;

const models: Partial<Record<Api, (options: Options) => LanguageModel>> = {
  chat: (settings) => createOpenAI(settings).chat("m"),
  completions: (settings) => createOpenAI(settings).completion("m"),
  responses: (settings) => createOpenAI(settings).responses("m"),
  anthropic: (settings) => createAnthropic(settings)("m"),
  gemini: (settings) => createGoogleGenerativeAI(settings)("m"),
};

afterEach(() => {
  vi.unstubAllGlobals();
});

describe.each(streams)("$name", (stream) => {
  it("ended behind each event is whole for the official client", async () => {
    let step = 0;
    for (const { passed, whole } of endedStreams(stream)) {
      step = (step % 7) + 1;
      const { usage: counted, last, ...found } = await read(stream.api, whole, step === 7 ? whole.length : step);
      expect([passed, found]).toEqual([passed, expectedOf(stream.api, passed)]);
      expect([passed, counted]).not.toEqual([passed, undefined]);
      if (stream.api === "responses") expect(last).toBe("response.incomplete");
    }
  });

  it("ended behind each event is whole for the AI SDK", async () => {
    const model = models[stream.api];
    if (model === undefined) return;
    const ask = async (bytes: Buffer) => {
      const errors: unknown[] = [];
      const onError = ({ error }: { error: unknown }) => void errors.push(error);
      const settings = options(answer(bytes, 50));
      const result = streamText({
        model: model(settings),
        prompt: "hello",
        maxOutputTokens: 9,
        maxRetries: 0,
        onError,
      });
      let text = "";
      for await (const part of result.textStream) text += part;
      return { errors, text, result };
    };
    if (incomplete.has(stream.name)) {
      const { errors } = await ask(stream.bytes);
      expect(errors).not.toEqual([]);
      return;
    }
    for (const { passed, whole } of endedStreams(stream)) {
      const { errors, text, result } = await ask(whole);
      const expected = expectedOf(stream.api, passed);
      expect([passed, errors, text]).toEqual([passed, [], expected.text[0] ?? ""]);
      const raw = await result.rawFinishReason;
      expect([passed, raw, await result.text]).toEqual([passed, expected.reason[0], text]);
      if (raw === expectedOf(stream.api, "").reason[0]) expect(await result.finishReason).toBe("length");
    }
  });

  it("ended behind each event is whole for the accumulating helper of the official client", async () => {
    if (stream.api !== "chat" && stream.api !== "responses") return; // The others are read by theirs above, or have none.
    const ask = async (bytes: Buffer) => {
      const openai = new OpenAI(options(answer(bytes, 50)));
      if (stream.api === "responses") return openai.responses.stream({ model: "m", input: "" }).finalResponse();
      return openai.chat.completions.stream({ model: "m", messages: [] }).finalChatCompletion();
    };
    if (incomplete.has(stream.name)) {
      await expect(ask(stream.bytes)).rejects.toThrow();
      return;
    }
    for (const { passed, whole } of endedStreams(stream)) {
      const expected = expectedOf(stream.api, passed);
      const final = await ask(whole);
      if ("choices" in final) {
        expect(Object.fromEntries(final.choices.map((one) => [one.index, one.finish_reason]))).toEqual(expected.reason);
        for (const one of final.choices) expect(one.message.content ?? "").toBe(expected.text[one.index]);
      } else {
        expect([final.status, final.incomplete_details?.reason]).toEqual(["incomplete", "max_output_tokens"]);
      }
    }
  });
});
