import Anthropic from "@anthropic-ai/sdk";
import fc from "fast-check";
import OpenAI from "openai";
import { describe, expect, it } from "vitest";
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

  it("has the expected usage", () => {
    expect(usage(api, answerBody)).toEqual(transcript.usage);
  });

  it("is what the official client writes and reads", async () => {
    expect(await clientUsage(transcript)).toEqual(officialUsage(transcript.usage));
  });
});

it("covers every API, whole and in pieces", () => {
  const kinds = transcripts.map(({ api, answerType }) => `${api} ${answerType}`);
  for (const api of Object.keys(shortNames)) {
    if (api !== "openai.other") expect(kinds).toContain(`${api} application/json`);
    if (api !== "openai.embeddings") expect(kinds).toContain(`${api} text/event-stream`);
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
      { numRuns: 3000, seed: SEED },
    );
  });

  it("never trap a reader of requests", () => {
    fc.assert(
      fc.property(samples, edits, (transcript, changes) => {
        const found = requestOf(transcript, change(transcript.requestBody, changes));
        expect(["complete", "invalid", "need-more"]).toContain(found.status);
      }),
      { numRuns: 3000, seed: SEED },
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
      { numRuns: 3000, seed: SEED },
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

/** Sends the request with the official client, hands it the answer, and returns the usage it reports. Google's is no dependency here: its answers are parsed as JSON. */
async function clientUsage(transcript: Transcript): Promise<Official> {
  const { answerBody, answerType, requestBody } = transcript;
  let sent: unknown;
  const options = {
    apiKey: "none",
    baseURL: "http://provider.test",
    maxRetries: 0,
    fetch: async (_url: unknown, init?: RequestInit) => {
      sent = init?.body;
      return new Response(answerBody, { headers: { "content-type": answerType } });
    },
  };
  const body = transcript.contentType === "application/json" ? JSON.parse(requestBody.toString()) : undefined;
  const openai = new OpenAI(options);
  let found: Official = officialUsage(none);
  switch (apiNamed(transcript.api)) {
    case "chat": {
      const answer = await openai.chat.completions.create(body as OpenAI.ChatCompletionCreateParams);
      if ("choices" in answer) found = openaiUsage(answer.usage);
      else for await (const chunk of answer) if (chunk.usage) found = openaiUsage(chunk.usage);
      break;
    }
    case "completions": {
      const answer = await openai.completions.create(body as OpenAI.CompletionCreateParams);
      if ("choices" in answer) found = openaiUsage(answer.usage);
      else for await (const chunk of answer) if (chunk.usage) found = openaiUsage(chunk.usage);
      break;
    }
    case "embeddings": {
      const answer = await openai.embeddings.create(body as OpenAI.EmbeddingCreateParams);
      found = { ...found, input: answer.usage.prompt_tokens };
      break;
    }
    case "responses": {
      const answer = await openai.responses.create(body as OpenAI.Responses.ResponseCreateParams);
      if ("output" in answer) found = responseUsage(answer.usage);
      else
        for await (const event of answer)
          if (event.type === "response.completed") found = responseUsage(event.response.usage);
      break;
    }
    case "other": {
      const file = new File(["RIFF"], "horn.wav");
      const answer = await openai.audio.transcriptions.create({ file, model: transcript.request.model, stream: true });
      for await (const event of answer) {
        if (event.type === "transcript.text.done")
          found = { ...found, input: event.usage?.input_tokens ?? -1, output: event.usage?.output_tokens ?? -1 };
      }
      expect(sent).toBeInstanceOf(FormData);
      return found;
    }
    case "anthropic":
      found = await anthropicUsage(new Anthropic(options), body as Anthropic.MessageCreateParams);
      break;
    default: {
      const text = answerBody.toString();
      const events =
        answerType === "text/event-stream"
          ? text
              .split("\r\n\r\n")
              .filter(Boolean)
              .map((event) => JSON.parse(event.replace(/^data: /, "")))
          : [JSON.parse(text)].flat();
      const counts = events.at(-1).usageMetadata;
      return {
        input: counts.promptTokenCount,
        output: counts.candidatesTokenCount,
        cached: counts.cachedContentTokenCount ?? -1,
        reasoning: counts.thoughtsTokenCount,
      };
    }
  }
  expect(JSON.parse(String(sent))).toEqual(body);
  return found;
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
    cached: usage?.input_tokens_details.cached_tokens ?? -1,
    reasoning: usage?.output_tokens_details.reasoning_tokens ?? -1,
  };
}

async function anthropicUsage(client: Anthropic, body: Anthropic.MessageCreateParams): Promise<Official> {
  const found = officialUsage(none);
  const take = (usage: Anthropic.Usage | Anthropic.MessageDeltaUsage) => {
    found.input = usage.input_tokens ?? found.input;
    found.output = usage.output_tokens;
    found.cached = usage.cache_read_input_tokens ?? found.cached;
    found.reasoning = usage.output_tokens_details?.thinking_tokens ?? found.reasoning;
  };
  const answer = await client.messages.create(body);
  if ("content" in answer) {
    take(answer.usage);
    return found;
  }
  try {
    for await (const event of answer) {
      if (event.type === "message_start") take(event.message.usage);
      else if (event.type === "message_delta") take(event.usage);
    }
  } catch (error) {
    expect(error).toBeInstanceOf(Anthropic.APIError);
  }
  return found;
}
