import Anthropic from "@anthropic-ai/sdk";
import fc from "fast-check";
import OpenAI from "openai";
import { describe, expect, it } from "vitest";
import { countsOf, documentsOf } from "../../test/fixtures/transcripts/counts.ts";
import { recordingOf, statusOf } from "../../test/fixtures/transcripts/recording.ts";
import { apis, type Api as ChatApi, type Facts, read as readChat } from "../../test/lib/chat-request-driver.ts";
import { apiOf, read as readPath } from "../../test/lib/llm-path-driver.ts";
import { type Found, read as readForm } from "../../test/lib/multipart-driver.ts";
import { type Transcript, transcripts } from "../../test/lib/transcripts.ts";
import { type Api, none, read as readUsage, type Usage } from "../../test/lib/usage-driver.ts";

/** Whole requests and answers of every API through the readers, and through the official clients, which know the formats better than we do. */

const shortNames: Record<string, Api> = {
  "openai.chat": "chat",
  "openai.completions": "completions",
  "openai.responses": "responses",
  "openai.embeddings": "embeddings",
  "anthropic.messages": "anthropic",
  "gemini.generate": "gemini",
  "openai.other": "other",
};

const apiNamed = (name: string): Api => shortNames[name] ?? "other";
const isChatApi = (api: Api): api is ChatApi => (apis as readonly string[]).includes(api);

function chat(api: ChatApi, body: Buffer): Facts {
  const whole = readChat(api, body);
  for (const step of [1, 2, 7]) expect(readChat(api, body, step)).toEqual(whole);
  return whole;
}

function usage(api: Api, answer: Buffer): Usage {
  const whole = readUsage(api, answer);
  for (const step of [1, 2, 7]) expect(readUsage(api, answer, step)).toEqual(whole);
  return whole;
}

function requestOf(transcript: Transcript, body: Buffer): Facts | Found {
  const api = apiNamed(transcript.api);
  return isChatApi(api) ? chat(api, body) : readForm(transcript.contentType, body);
}

describe.each(transcripts)("$name", (transcript) => {
  const api = apiNamed(transcript.api);
  const { request, requestBody, answerBody } = transcript;

  it("has the API of its path", () => {
    expect(apiOf(transcript.path.replace(/\?.*/, ""))).toBe(transcript.api);
  });

  it("has the expected request", () => {
    const path = readPath(transcript.path);
    const found = requestOf(transcript, requestBody);
    expect(found.status).toBe("complete");
    if (path.method !== "none") {
      expect(path.model.toString()).toBe(request.model);
      expect(path.method === "stream").toBe(request.stream);
    } else {
      expect("fields" in found ? found.fields.model.value : found.value).toBe(request.model);
      expect(found.stream).toBe(request.stream);
    }
    if ("tools" in found) expect([found.tools, found.images]).toEqual([request.tools, request.images ?? 0]);
    else expect(found.count).toBe(1);
  });

  it("has the expected usage when parsed", () => {
    expect(countsOf(transcript)).toEqual(transcript.usage);
  });

  it("has the expected usage", () => {
    expect(usage(api, answerBody)).toEqual(transcript.usage);
  });

  it("is what the official client writes and reads", async () => {
    expect(await clientUsage(transcript)).toEqual(officialUsage(transcript.usage));
  });
});

const kindOf = ({ api, answerType }: Transcript) => `${api} ${answerType.replace(/;.*/, "")}`;

it("covers every API, whole and in pieces", () => {
  const kinds = transcripts.map(kindOf);
  for (const api of Object.keys(shortNames)) {
    if (api !== "openai.other") expect(kinds).toContain(`${api} application/json`);
    if (api !== "openai.embeddings") expect(kinds).toContain(`${api} text/event-stream`);
  }
});

it("covers every API, whole, in pieces and refused, by recordings of servers", () => {
  const recorded = transcripts.filter(recordingOf);
  const kinds = recorded.map((one) => `${kindOf(one)} ${statusOf(one) < 400 ? "answered" : "refused"}`);
  for (const api of Object.keys(shortNames)) {
    // No server at hand transcribes speech.
    if (api === "openai.other") continue;
    expect(kinds).toContain(`${api} application/json answered`);
    expect(kinds).toContain(`${api} application/json refused`);
    if (api !== "openai.embeddings") expect(kinds).toContain(`${api} text/event-stream answered`);
  }
});

describe("changed bytes", () => {
  const SEED = 20261121;
  const samples = fc.constantFrom(...transcripts);
  const edit = fc.record({
    what: fc.constantFrom("flip", "delete", "insert", "truncate", "repeat"),
    at: fc.nat(),
    size: fc.integer({ min: 1, max: 40 }),
    byte: fc.oneof(fc.constantFrom(...Buffer.from('"\\{}[]:,0\n\r-u')), fc.nat(255)),
  });
  const edits = fc.array(edit, { minLength: 1, maxLength: 4 });
  type Edit = typeof edit extends fc.Arbitrary<infer T> ? T : never;

  function change(body: Buffer, changes: Edit[]): Buffer {
    let bytes = body;
    for (const { what, at, size, byte } of changes) {
      const place = at % (bytes.length + 1);
      const [head, tail] = [bytes.subarray(0, place), bytes.subarray(place)];
      if (what === "flip") bytes = Buffer.concat([head, Buffer.from([(tail[0] ?? 0) ^ byte]), tail.subarray(1)]);
      else if (what === "delete") bytes = Buffer.concat([head, tail.subarray(size)]);
      else if (what === "insert") bytes = Buffer.concat([head, Buffer.from([byte]), tail]);
      else if (what === "repeat") bytes = Buffer.concat([head, tail.subarray(0, size), tail]);
      else bytes = head;
    }
    return bytes;
  }

  it("never trap a reader of answers", () => {
    fc.assert(
      fc.property(samples, edits, (transcript, changes) => {
        const found = usage(apiNamed(transcript.api), change(transcript.answerBody, changes));
        for (const count of Object.values(found)) expect(count).toBeGreaterThanOrEqual(-1);
      }),
      { numRuns: 6000, seed: SEED },
    );
  });

  it("never trap a reader of requests", () => {
    fc.assert(
      fc.property(samples, edits, (transcript, changes) => {
        const found = requestOf(transcript, change(transcript.requestBody, changes));
        expect(["complete", "invalid", "need-more"]).toContain(found.status);
      }),
      { numRuns: 6000, seed: SEED },
    );
  });

  it("never trap a reader of paths", () => {
    fc.assert(
      fc.property(samples, edits, (transcript, changes) => {
        const bytes = change(Buffer.from(transcript.path), changes);
        const { end, raw } = readPath(bytes);
        expect(end).toBeLessThanOrEqual(bytes.length);
        expect(bytes.toString("latin1")).toContain(raw);
      }),
      { numRuns: 6000, seed: SEED },
    );
  });

  it("leave counts alone when an answer ends early", () => {
    for (const { api, answerBody, usage: whole } of transcripts) {
      for (let size = 0; size < answerBody.length; size += 13) {
        const found = readUsage(apiNamed(api), answerBody.subarray(0, size));
        // A number that is cut is no count.
        expect([-1, 0, whole.cached]).toContain(found.cached);
      }
    }
  });
});

/** The counts that the official clients know of: those of the API itself. */
type Official = Pick<Usage, "input" | "output" | "cached" | "reasoning">;

const officialUsage = ({ input, output, cached, reasoning }: Usage): Official => ({ input, output, cached, reasoning });

/**
 * Sends the request with the official client, hands it the answer, and returns the usage it reports before the answer ends or fails. Google's client writes requests its own
 * way: Gemini's answers are parsed as JSON.
 */
async function clientUsage(transcript: Transcript): Promise<Official> {
  if (transcript.api === "gemini.generate") return geminiUsage(transcript);
  const { answerBody, answerType } = transcript;
  const status = statusOf(transcript);
  let sent: unknown;
  const options = {
    apiKey: "none",
    baseURL: "http://provider.test",
    maxRetries: 0,
    fetch: async (_url: unknown, init?: RequestInit) => {
      sent = init?.body;
      return new Response(answerBody, { status, headers: { "content-type": answerType } });
    },
  };
  const found = officialUsage(none);
  const isRefused = status >= 400 || answerBody.includes('data: {"error"') || answerBody.includes("event: error");
  try {
    for await (const usage of usagesOf(transcript, options)) Object.assign(found, usage);
    expect(isRefused).toBe(false);
  } catch (error) {
    if (!(error instanceof OpenAI.APIError || error instanceof Anthropic.APIError)) throw error;
    expect([isRefused, error.status]).toEqual([true, status >= 400 ? status : undefined]);
  }
  if (transcript.contentType !== "application/json") expect(sent).toBeInstanceOf(FormData);
  else expect(JSON.parse(String(sent))).toEqual(JSON.parse(transcript.requestBody.toString()));
  return found;
}

type ClientOptions = { apiKey: string; baseURL: string; maxRetries: number; fetch: typeof fetch };

async function* usagesOf(transcript: Transcript, options: ClientOptions): AsyncGenerator<Partial<Official>> {
  const openai = new OpenAI(options);
  const body =
    transcript.contentType === "application/json" ? JSON.parse(transcript.requestBody.toString()) : undefined;
  switch (apiNamed(transcript.api)) {
    case "chat": {
      const answer = await openai.chat.completions.create(body as OpenAI.ChatCompletionCreateParams);
      if ("choices" in answer) yield openaiUsage(answer.usage);
      else for await (const chunk of answer) if (chunk.usage) yield openaiUsage(chunk.usage);
      break;
    }
    case "completions": {
      const answer = await openai.completions.create(body as OpenAI.CompletionCreateParams);
      if ("choices" in answer) yield openaiUsage(answer.usage);
      else for await (const chunk of answer) if (chunk.usage) yield openaiUsage(chunk.usage);
      break;
    }
    case "embeddings": {
      const { usage } = await openai.embeddings.create(body as OpenAI.EmbeddingCreateParams);
      yield openaiUsage({ completion_tokens: -1, ...usage });
      break;
    }
    case "responses": {
      const answer = await openai.responses.create(body as OpenAI.Responses.ResponseCreateParams);
      if ("output" in answer) yield responseUsage(answer.usage);
      else
        for await (const event of answer)
          if (event.type === "response.completed" || event.type === "response.incomplete")
            yield responseUsage(event.response.usage);
      break;
    }
    case "other": {
      const file = new File(["RIFF"], "horn.wav");
      const answer = await openai.audio.transcriptions.create({ file, model: transcript.request.model, stream: true });
      for await (const event of answer) {
        if (event.type === "transcript.text.done")
          yield { input: event.usage?.input_tokens ?? -1, output: event.usage?.output_tokens ?? -1 };
      }
      break;
    }
    default: {
      const answer = await new Anthropic(options).messages.create(body as Anthropic.MessageCreateParams);
      if ("content" in answer) yield anthropicUsage(answer.usage);
      else
        for await (const event of answer) {
          if (event.type === "message_start") yield anthropicUsage(event.message.usage);
          // Compatible servers keep a running total in other events, too.
          else if ("usage" in event) yield anthropicUsage(event.usage as Anthropic.MessageDeltaUsage);
        }
    }
  }
}

function geminiUsage(transcript: Transcript): Official {
  const counts = (documentsOf(transcript).at(-1) as { usageMetadata?: Record<string, number> }).usageMetadata;
  return {
    input: counts?.promptTokenCount ?? -1,
    output: counts?.candidatesTokenCount ?? -1,
    cached: counts?.cachedContentTokenCount ?? -1,
    reasoning: counts?.thoughtsTokenCount ?? -1,
  };
}

function openaiUsage(usage: OpenAI.CompletionUsage | undefined): Official {
  return {
    input: usage?.prompt_tokens ?? -1,
    output: usage?.completion_tokens ?? -1,
    cached: usage?.prompt_tokens_details?.cached_tokens ?? -1,
    reasoning: usage?.completion_tokens_details?.reasoning_tokens ?? -1,
  };
}

function responseUsage(usage: OpenAI.Responses.ResponseUsage | undefined): Official {
  return {
    input: usage?.input_tokens ?? -1,
    output: usage?.output_tokens ?? -1,
    cached: usage?.input_tokens_details?.cached_tokens ?? -1,
    reasoning: usage?.output_tokens_details?.reasoning_tokens ?? -1,
  };
}

/** What this part of the answer says, nothing else. */
function anthropicUsage(usage: Anthropic.Usage | Anthropic.MessageDeltaUsage): Partial<Official> {
  const found: Partial<Official> = { output: usage.output_tokens };
  if (typeof usage.input_tokens === "number") found.input = usage.input_tokens;
  if (typeof usage.cache_read_input_tokens === "number") found.cached = usage.cache_read_input_tokens;
  const thoughts = usage.output_tokens_details?.thinking_tokens;
  if (typeof thoughts === "number") found.reasoning = thoughts;
  return found;
}
