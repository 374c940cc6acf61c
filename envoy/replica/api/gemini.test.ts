/** The Gemini API, as the official client sees it and byte by byte. */
import { ApiError, FunctionCallingConfigMode, type GenerateContentParameters, GoogleGenAI, Type } from "@google/genai";
import { expect, onTestFinished, test } from "vitest";
import { type Replica, startReplica } from "../server.ts";

async function start(): Promise<{ replica: Replica; gemini: GoogleGenAI }> {
  const replica = await startReplica({ name: "r1", models: ["gemini-a", "gemini b/c"], prefixCache: false });
  onTestFinished(() => replica.close());
  return { replica, gemini: new GoogleGenAI({ apiKey: "key-1", httpOptions: { baseUrl: replica.url } }) };
}

const declaration = (name: string) => ({
  name,
  parametersJsonSchema: { type: "object", properties: { city: { type: "string" } }, required: ["city"] },
});
const tools = [{ functionDeclarations: [declaration("clock"), declaration("weather")] }];
const hello = { model: "gemini-a", contents: "hello there" };

test("a whole answer with usage, and the same text in a stream", async () => {
  const { replica, gemini } = await start();
  const whole = await gemini.models.generateContent(hello);
  expect(whole.text).toMatch(/^model gemini-a on replica r1: "hello there"/);
  expect(whole.candidates?.[0]?.finishReason).toBe("STOP");
  const prompt = whole.usageMetadata?.promptTokenCount ?? 0;
  expect(whole.usageMetadata).toMatchObject({ candidatesTokenCount: 24, totalTokenCount: prompt + 24 });
  expect(replica.requests[0]).toMatchObject({
    path: "/v1beta/models/gemini-a:generateContent",
    model: "gemini-a",
    headers: { "x-goog-api-key": "key-1" },
  });

  let text = "";
  const counts: (number | undefined)[] = [];
  for await (const chunk of await gemini.models.generateContentStream(hello)) {
    text += chunk.text ?? "";
    counts.push(chunk.usageMetadata?.candidatesTokenCount);
  }
  expect(text).toBe(whole.text);
  expect(counts).toEqual([...Array.from({ length: 24 }, (_, i) => i + 1), 24]);
});

test("a limit ends the answer with MAX_TOKENS", async () => {
  const { gemini } = await start();
  const { candidates } = await gemini.models.generateContent({ ...hello, config: { maxOutputTokens: 3 } });
  expect(candidates?.[0]?.finishReason).toBe("MAX_TOKENS");
});

test("the function that the user names is called, whole and streamed; its response is answered in words", async () => {
  const { gemini } = await start();
  const asked = { model: "gemini-a", contents: "call weather", config: { tools } };
  const whole = await gemini.models.generateContent(asked);
  const [call] = whole.functionCalls ?? [];
  expect(call).toMatchObject({ name: "weather", args: { city: "call weather" } });
  const streamed: unknown[] = [];
  for await (const chunk of await gemini.models.generateContentStream(asked))
    streamed.push(...(chunk.functionCalls ?? []));
  expect(streamed).toEqual([call]);

  const functionResponse = { name: "weather", response: { output: "sunny" } };
  const content = whole.candidates?.[0]?.content;
  if (content === undefined) throw new Error("no content");
  const contents = [
    { role: "user", parts: [{ text: "call weather" }] },
    content,
    { role: "user", parts: [{ functionResponse }] },
  ];
  const final = await gemini.models.generateContent({ model: "gemini-a", contents, config: { tools } });
  expect(final.text).toContain("sunny");
});

test("the mode of function calling: NONE, ANY, ANY of a list", async () => {
  const { gemini } = await start();
  const called = async (
    contents: string,
    mode: FunctionCallingConfigMode,
    allowed?: string[],
  ): Promise<string | undefined> => {
    const functionCallingConfig = { mode, ...(allowed === undefined ? {} : { allowedFunctionNames: allowed }) };
    const config: GenerateContentParameters["config"] = { tools, toolConfig: { functionCallingConfig } };
    const answer = await gemini.models.generateContent({ model: "gemini-a", contents, config });
    return answer.functionCalls?.[0]?.name;
  };
  expect(await called("call weather", FunctionCallingConfigMode.NONE)).toBeUndefined();
  expect(await called("hello", FunctionCallingConfigMode.ANY)).toBe("clock");
  expect(await called("hello", FunctionCallingConfigMode.ANY, ["weather"])).toBe("weather");
});

test("arguments follow the schema in Google's own spelling too, with types in capitals", async () => {
  const { gemini } = await start();
  const parameters = { type: Type.OBJECT, properties: { days: { type: Type.INTEGER } }, required: ["days"] };
  const config = { tools: [{ functionDeclarations: [{ name: "forecast", parameters }] }] };
  const answer = await gemini.models.generateContent({ model: "gemini-a", contents: "call forecast", config });
  expect(answer.functionCalls?.[0]?.args).toEqual({ days: 1 });
});

test("inline images are counted, in both spellings", async () => {
  const { replica, gemini } = await start();
  const inlineData = { mimeType: "image/png", data: "iVBORw0KGgo=" };
  const answer = await gemini.models.generateContent({ model: "gemini-a", contents: [{ inlineData }, "what is it?"] });
  expect(answer.text).toContain('"what is it?" [images: 1]');
  expect(answer.usageMetadata?.promptTokenCount).toBeGreaterThan(85);
  const parts = [{ inline_data: { mime_type: "image/png", data: "iVBORw0KGgo=" } }];
  const snake = await fetch(`${replica.url}/v1beta/models/gemini-a:generateContent`, {
    method: "POST",
    body: JSON.stringify({ contents: [{ parts }], generation_config: { max_output_tokens: 2 } }),
  });
  expect(await snake.json()).toMatchObject({
    candidates: [
      { content: { parts: [{ text: expect.stringContaining("[images: 1]") }] }, finishReason: "MAX_TOKENS" },
    ],
  });
});

test("without alt=sse a stream is a JSON array; with it, events that end with CR LF", async () => {
  const { replica } = await start();
  const stream = async (query: string, contents: string): Promise<{ type: string | null; text: string }> => {
    const answer = await fetch(`${replica.url}/v1beta/models/gemini-a:streamGenerateContent${query}`, {
      method: "POST",
      body: JSON.stringify({ contents: [{ parts: [{ text: contents }] }], tools }),
    });
    return { type: answer.headers.get("content-type"), text: await answer.text() };
  };
  for (const contents of ["hello", "call weather"]) {
    const array = await stream("", contents);
    const events = await stream("?alt=sse", contents);
    expect([array.type, events.type]).toEqual(["application/json; charset=UTF-8", "text/event-stream; charset=utf-8"]);
    const elements = JSON.parse(array.text) as unknown[];
    expect(elements).toHaveLength(contents === "hello" ? 25 : 1);
    const data = events.text.split("\r\n\r\n").slice(0, -1);
    expect(data.map((event) => JSON.parse(event.slice("data: ".length)) as unknown)).toEqual(elements);
  }
});

test("errors are Google's; the model is decoded from the path", async () => {
  const { replica, gemini } = await start();
  const unknown = gemini.models.generateContent({ ...hello, model: "gemini-x" });
  await expect(unknown).rejects.toThrow(ApiError);
  await expect(gemini.models.generateContent({ ...hello, model: "gemini-x" })).rejects.toMatchObject({ status: 404 });
  const post = async (model: string, body: string): Promise<unknown> => {
    const answer = await fetch(`${replica.url}/v1beta/models/${model}:generateContent`, { method: "POST", body });
    return answer.json();
  };
  expect(await post("gemini-a", "{}")).toMatchObject({ error: { code: 400, status: "INVALID_ARGUMENT" } });
  expect(await post("%zz", '{"contents":[{}]}')).toMatchObject({ error: { code: 400 } });
  expect(await post("gemini%20b%2Fc", '{"contents":[{}]}')).toMatchObject({ modelVersion: "gemini b/c" });
});
