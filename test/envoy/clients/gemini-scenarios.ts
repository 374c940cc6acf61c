/** The `@google/genai` package, and one stream that it never asks for. */
import { FunctionCallingConfigMode, type GenerateContentConfig, GoogleGenAI } from "@google/genai";
import { AWKWARD, CITY_SCHEMA, collect, PIXEL, type Scenario, type Target } from "./scenario.ts";

const client = ({ url }: Target): GoogleGenAI =>
  new GoogleGenAI({ apiKey: "google-key", httpOptions: { baseUrl: url, apiVersion: "v1beta" } });
const tools = [
  { functionDeclarations: [{ name: "get_weather", description: "weather", parametersJsonSchema: CITY_SCHEMA }] },
];
const picture = { inlineData: { mimeType: "image/png", data: PIXEL } };

const scenarios: Scenario[] = [
  {
    name: "generateContent",
    shows: ["model gemini-3-flash on replica", '"finishReason":"STOP"', '"modelVersion":"gemini-3-flash"', "東京"],
    run: async (target) => {
      const config: GenerateContentConfig = { systemInstruction: "be brief", temperature: 0 };
      return plain(
        await client(target).models.generateContent({ model: target.models.gemini, contents: AWKWARD, config }),
      );
    },
  },
  {
    name: "generateContentStream",
    shows: ['"candidatesTokenCount":24', '"finishReason":"STOP"'],
    run: async (target) => {
      const stream = await client(target).models.generateContentStream({
        model: target.models.gemini,
        contents: "hello",
      });
      return (await collect(stream)).map(plain);
    },
  },
  {
    name: "a limit, and the model by its resource name",
    shows: ['"finishReason":"MAX_TOKENS"'],
    run: async (target) => {
      const config = { maxOutputTokens: 3 };
      const model = `models/${target.models.gemini}`;
      return plain(await client(target).models.generateContent({ model, contents: "hello", config }));
    },
  },
  {
    name: "images, whole and streamed",
    shows: ["[images: 1]"],
    run: async (target) => {
      const { models } = client(target);
      const body = { model: target.models.gemini, contents: [picture, "what is it?"] };
      const streamed = await collect(await models.generateContentStream(body));
      return [plain(await models.generateContent(body)), streamed.map(plain)];
    },
  },
  {
    name: "a function and its response, in a chat",
    shows: ['"name":"get_weather"', "21 degrees"],
    run: async (target) => {
      const chat = client(target).chats.create({ model: target.models.gemini, config: { tools } });
      const called = await chat.sendMessage({ message: "call get_weather" });
      const name = called.functionCalls?.[0]?.name;
      if (name === undefined) throw new Error("no function was called");
      const functionResponse = { name, response: { output: "21 degrees" } };
      const answered = await chat.sendMessage({ message: [{ functionResponse }] });
      return [plain(called), plain(answered), chat.getHistory()];
    },
  },
  {
    name: "a function that is forced, streamed",
    shows: ['"functionCall"'],
    run: async (target) => {
      const functionCallingConfig = { mode: FunctionCallingConfigMode.ANY, allowedFunctionNames: ["get_weather"] };
      const config = { tools, toolConfig: { functionCallingConfig } };
      const body = { model: target.models.gemini, contents: "hello", config };
      return (await collect(await client(target).models.generateContentStream(body))).map(plain);
    },
  },
  {
    name: "a stream as a JSON array", // what plain HTTP gets without alt=sse
    shows: ['"finishReason":"STOP"'],
    run: async ({ url, models }) => {
      const answer = await fetch(`${url}/v1beta/models/${models.gemini}:streamGenerateContent`, {
        method: "POST",
        headers: { "content-type": "application/json", "x-goog-api-key": "google-key" },
        body: JSON.stringify({ contents: [{ parts: [{ text: "hello" }] }] }),
      });
      const text = await answer.text();
      return [answer.status, answer.headers.get("content-type"), text, JSON.parse(text)];
    },
  },
];

/** An answer without `sdkHttpResponse`, which holds every header of the response. */
export function plain(answer: object): unknown {
  const { sdkHttpResponse: _, ...rest } = answer as { sdkHttpResponse?: unknown };
  return rest;
}

export const geminiScenarios: readonly Scenario[] = scenarios.map((one) => ({ ...one, name: `gemini: ${one.name}` }));
