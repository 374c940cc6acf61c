/** The Vercel AI SDK with its providers for the three vendors: one set of scenarios for every provider that writes text. */
import { createAnthropic } from "@ai-sdk/anthropic";
import { createGoogleGenerativeAI } from "@ai-sdk/google";
import { createOpenAI, type OpenAIProvider } from "@ai-sdk/openai";
import {
  embedMany,
  generateImage,
  experimental_generateSpeech as generateSpeech,
  generateText,
  jsonSchema,
  type LanguageModel,
  type ModelMessage,
  stepCountIs,
  streamText,
  tool,
  experimental_transcribe as transcribe,
} from "ai";
import {
  AWKWARD,
  CITY_SCHEMA,
  CLIENT_MODELS,
  collect,
  EVERY_BYTE,
  type ModelNames,
  PIXEL,
  type Scenario,
  type Target,
  UPSTREAM_MODELS,
} from "./scenario.ts";

const openai = ({ url }: Target): OpenAIProvider => createOpenAI({ baseURL: `${url}/v1`, apiKey: "openai-key" });

const textModels: readonly (readonly [provider: string, model: (target: Target) => LanguageModel])[] = [
  ["openai responses", (target) => openai(target).responses(target.models.chat)],
  ["openai chat", (target) => openai(target).chat(target.models.chat)],
  ["anthropic", ({ url, models }) => createAnthropic({ baseURL: `${url}/v1`, apiKey: "anthropic-key" })(models.claude)],
  [
    "google",
    ({ url, models }) => createGoogleGenerativeAI({ baseURL: `${url}/v1beta`, apiKey: "google-key" })(models.gemini),
  ],
];

const weather = tool({
  description: "weather",
  inputSchema: jsonSchema<{ city: string }>(CITY_SCHEMA),
  execute: ({ city }) => `21 degrees for ${city}`,
});
/** The limit is given because the SDK would derive it from the model's name. */
const settings = { maxRetries: 0, maxOutputTokens: 200 };
const { maxRetries } = settings;
const toolLoop = {
  tools: { get_weather: weather },
  stopWhen: stepCountIs(4),
  prompt: "please call get_weather",
  ...settings,
};
const picture: ModelMessage = {
  role: "user",
  content: [
    { type: "text", text: "what is it?" },
    { type: "image", image: Buffer.from(PIXEL, "base64"), mediaType: "image/png" },
  ],
};

const text: Scenario[] = textModels.flatMap(([provider, model]): Scenario[] => [
  {
    name: `${provider}, text`,
    shows: ["on replica", "東京", '"outputTokens":24', '"finishReason":"stop"'],
    run: async (target) => {
      const answer = await generateText({ model: model(target), system: "be brief", prompt: AWKWARD, ...settings });
      return plain(answer.steps);
    },
  },
  {
    name: `${provider}, text, streamed`,
    shows: ["on replica", '"type":"text-delta"', '"outputTokens":24'],
    run: async (target) => {
      const stream = streamText({ model: model(target), prompt: "hello", ...settings, onError: noLog });
      return plain(await parts(stream));
    },
  },
  {
    name: `${provider}, an image`,
    shows: ["[images: 1]"],
    run: async (target) => {
      const answer = await generateText({ model: model(target), messages: [picture], ...settings });
      return plain(answer.steps);
    },
  },
  {
    name: `${provider}, a tool and its result`,
    shows: ['"toolName":"get_weather"', "21 degrees for"],
    run: async (target) => plain((await generateText({ model: model(target), ...toolLoop })).steps),
  },
  {
    name: `${provider}, a tool and its result, streamed`,
    shows: ['"type":"tool-result"', "21 degrees for"],
    run: async (target) => {
      const stream = streamText({ model: model(target), ...toolLoop, onError: noLog });
      return plain(await parts(stream));
    },
  },
]);

const media: Scenario[] = [
  {
    name: "openai, embeddings",
    shows: ['"embeddings":[['],
    run: async (target) => {
      const model = openai(target).embedding(target.models.embedding);
      const { embeddings, usage } = await embedMany({ model, values: ["one", AWKWARD], maxRetries });
      return { embeddings, usage };
    },
  },
  {
    name: "openai, transcription",
    shows: ["model gpt-4o-transcribe on replica", `${EVERY_BYTE.length} bytes`],
    run: async (target) => {
      const model = openai(target).transcription(target.models.transcription);
      const { text, segments } = await transcribe({ model, audio: EVERY_BYTE, maxRetries });
      return { text, segments };
    },
  },
  {
    name: "openai, speech",
    shows: ["audio/mp3"],
    run: async (target) => {
      const model = openai(target).speech(target.models.speech);
      const { audio } = await generateSpeech({ model, text: "Grüezi", voice: "alloy", maxRetries });
      return [audio.mediaType, audio.base64];
    },
  },
  {
    name: "openai, images",
    shows: ["R0lGOD"],
    run: async (target) => {
      const model = openai(target).image(target.models.image);
      const { images } = await generateImage({ model, prompt: "a cat", n: 2, maxRetries });
      return images.map(({ base64, mediaType }) => [mediaType, base64]);
    },
  },
];

/** In place of the SDK's own, which writes errors to the console; `parts` throws them. */
function noLog(): void {}

async function parts({ fullStream }: { fullStream: AsyncIterable<{ type: string }> }): Promise<unknown[]> {
  const all = await collect(fullStream);
  for (const part of all) if ("error" in part) throw part.error;
  return all;
}

/**
 * Without what differs from call to call: the SDK's own clock, and response headers such as `date`. The SDK also repeats the name that it was
 * given; the alias of the gateway becomes the real name there.
 */
function plain(value: unknown): unknown {
  const text = JSON.stringify(value, (key, inner: unknown) => {
    if (key === "timestamp" || key === "headers" || key === "request") return undefined;
    return key === "modelId" ? realName(String(inner)) : inner;
  });
  return JSON.parse(text) as unknown;
}

function realName(model: string): string {
  const use = (Object.keys(CLIENT_MODELS) as (keyof ModelNames)[]).find((one) => CLIENT_MODELS[one] === model);
  return use === undefined ? model : UPSTREAM_MODELS[use];
}

export const aiSdkScenarios: readonly Scenario[] = [...text, ...media].map((one) => ({
  ...one,
  name: `ai: ${one.name}`,
}));
