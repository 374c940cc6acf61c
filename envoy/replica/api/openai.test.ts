/** The chat, completions, responses and embeddings APIs, as the official client sees them. */
import OpenAI, { BadRequestError, NotFoundError } from "openai";
import { expect, onTestFinished, test } from "vitest";
import { type Replica, type ReplicaOptions, startReplica } from "../server.ts";
import { TIMING_PROFILES } from "../timing.ts";

async function start(options: Partial<ReplicaOptions> = {}): Promise<{ replica: Replica; openai: OpenAI }> {
  const replica = await startReplica({ name: "r1", models: ["m1", "m2"], ...options });
  onTestFinished(() => replica.close());
  return { replica, openai: new OpenAI({ baseURL: `${replica.url}/v1`, apiKey: "none", maxRetries: 0 }) };
}

const hello = [{ role: "user" as const, content: "hello there" }];
const callWeather = [{ role: "user" as const, content: "please call weather now" }];
const schema = {
  type: "object" as const,
  properties: { city: { type: "string" }, days: { type: "integer" } },
  required: ["city"],
};
const tools = ["clock", "weather"].map((name) => ({
  type: "function" as const,
  function: { name, parameters: schema },
}));
const pixel = "data:image/png;base64,iVBORw0KGgo=";

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

test("chat: the tool that the user names is called, whole and streamed; its result is answered in words", async () => {
  const { openai } = await start();
  const called = await openai.chat.completions.create({ model: "m1", messages: callWeather, tools });
  const message = called.choices[0]?.message;
  const call = message?.tool_calls?.[0];
  if (message === undefined || call?.type !== "function") throw new Error("no tool call");
  expect(called.choices[0]?.finish_reason).toBe("tool_calls");
  expect(call.function.name).toBe("weather");
  expect(JSON.parse(call.function.arguments)).toEqual({ city: "please call weather now" });

  const streamed = await openai.chat.completions
    .stream({ model: "m1", messages: callWeather, tools })
    .finalChatCompletion();
  expect(streamed.choices[0]?.message.tool_calls?.[0]).toMatchObject({ function: call.function });

  const result = { role: "tool" as const, tool_call_id: call.id, content: "sunny; call weather" };
  const final = await openai.chat.completions.create({
    model: "m1",
    messages: [...callWeather, message, result],
    tools,
    tool_choice: "required",
  });
  // Neither a forced call nor the words of a tool make it call again: the loops of the clients would never end.
  expect(final.choices[0]?.message.content).toContain('"sunny; call weather"');
});

test("chat: which tool is called follows from the words and from tool_choice", async () => {
  const { openai } = await start();
  const calledName = async (
    messages: OpenAI.ChatCompletionMessageParam[],
    tool_choice?: OpenAI.ChatCompletionToolChoiceOption,
  ): Promise<string | undefined> => {
    const choice = tool_choice === undefined ? {} : { tool_choice };
    const { choices } = await openai.chat.completions.create({ model: "m1", messages, tools, ...choice });
    const call = choices[0]?.message.tool_calls?.[0];
    return call?.type === "function" ? call.function.name : undefined;
  };
  expect(await calledName(hello)).toBeUndefined();
  expect(await calledName([{ role: "user", content: "call nothing" }])).toBeUndefined();
  expect(await calledName([{ role: "user", content: "recall weather" }])).toBeUndefined();
  expect(await calledName([...callWeather, { role: "assistant", content: "no" }, ...hello])).toBeUndefined();
  expect(await calledName(callWeather, "none")).toBeUndefined();
  expect(await calledName(hello, "required")).toBe("clock");
  expect(await calledName(callWeather, "required")).toBe("weather");
  expect(await calledName(callWeather, { type: "function", function: { name: "clock" } })).toBe("clock");
});

test("an image is counted and named in the answer; another image is another request", async () => {
  const { openai } = await start();
  const ask = async (...urls: string[]) => {
    const images = urls.map((url) => ({ type: "image_url" as const, image_url: { url } }));
    const content = [{ type: "text" as const, text: "what is it?" }, ...images];
    return openai.chat.completions.create({ model: "m1", messages: [{ role: "user", content }] });
  };
  const none = await ask();
  const one = await ask(pixel);
  const other = await ask("https://example.com/a.png", pixel);
  expect(one.choices[0]?.message.content).toContain('"what is it?" [images: 1]');
  expect(other.choices[0]?.message.content).toContain("[images: 2]");
  expect((one.usage?.prompt_tokens ?? 0) - (none.usage?.prompt_tokens ?? 0)).toBeGreaterThanOrEqual(85);
  expect(new Set([none.id, one.id, other.id]).size).toBe(3);

  const parts = [{ type: "input_image" as const, image_url: pixel, detail: "auto" as const }];
  const response = await openai.responses.create({ model: "m1", input: [{ role: "user", content: parts }] });
  expect(response.output_text).toContain("[images: 1]");
});

test("the same request has the same answer, byte by byte", async () => {
  const { replica, openai } = await start({ prefixCache: false });
  const ask = async (model: string, stream: boolean): Promise<string> => {
    const messages = [{ role: "user", content: "long ".repeat(50) }];
    const body = JSON.stringify({ model, messages, stream, stream_options: { include_usage: true } });
    const answer = await fetch(`${replica.url}/v1/chat/completions`, { method: "POST", body });
    return answer.text();
  };
  for (const stream of [true, false]) expect(await ask("m1", stream)).toBe(await ask("m1", stream));
  const { id } = await openai.chat.completions.create({ model: "m1", messages: hello });
  expect((await openai.chat.completions.create({ model: "m2", messages: hello })).id).not.toBe(id);
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

test("responses: text and calls, whole and streamed, with the same result", async () => {
  const { openai } = await start({ prefixCache: false });
  const offered = tools.map(({ function: { name, parameters } }) => ({
    type: "function" as const,
    name,
    parameters,
    strict: false,
  }));
  for (const input of ["hello", "call weather"]) {
    const body = { model: "m1", input, instructions: "be brief", tools: offered };
    const { output_text, output, status, usage } = await openai.responses.create(body);
    const streamed = await openai.responses.stream(body).finalResponse();
    expect(status).toBe("completed");
    expect(streamed).toMatchObject({ status, usage, output_text });
    // The stream's helper adds what it has parsed; `stream: true` makes it another request with other ids.
    const idless = (items: unknown): unknown => JSON.parse(JSON.stringify(items).replaceAll(/"\w+_r1-\w+"/g, '""'));
    expect(idless(streamed.output)).toMatchObject(idless(output) as object[]);
    const numbers: number[] = [];
    for await (const event of await openai.responses.create({ ...body, stream: true }))
      numbers.push(event.sequence_number);
    expect(numbers).toEqual(numbers.map((_, i) => i));
    if (input === "hello") expect(output_text).toContain('on replica r1: "hello"');
    else
      expect(output[0]).toMatchObject({ type: "function_call", name: "weather", arguments: '{"city":"call weather"}' });
  }
});

test("responses: a tool's result is answered in words; a limit makes the answer incomplete", async () => {
  const { openai } = await start();
  const offered = [{ type: "function" as const, name: "weather", parameters: schema, strict: false }];
  const input = [
    { role: "user" as const, content: "call weather" },
    { type: "function_call" as const, call_id: "c1", name: "weather", arguments: "{}" },
    { type: "function_call_output" as const, call_id: "c1", output: "sunny" },
  ];
  const answered = await openai.responses.create({ model: "m1", input, tools: offered });
  expect(answered.output_text).toContain('"sunny"');
  const cut = await openai.responses.stream({ model: "m1", input: "hi", max_output_tokens: 2 }).finalResponse();
  expect([cut.status, cut.incomplete_details?.reason]).toEqual(["incomplete", "max_output_tokens"]);
});

test("completions, embeddings, models", async () => {
  const { openai } = await start();
  const completion = await openai.completions.create({ model: "m1", prompt: "once" });
  expect(completion.choices[0]?.text).toContain("on replica r1");
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

test("a body that looks like an error is a body", async () => {
  const { replica } = await start();
  const body = JSON.stringify({ model: "m1", messages: hello, status: 418, code: "teapot" });
  const answer = await fetch(`${replica.url}/v1/chat/completions`, { method: "POST", body });
  expect(answer.status).toBe(200);
});

test("a prompt over the context length is refused", async () => {
  const { openai } = await start({ timing: { ...TIMING_PROFILES.instant, maxModelTokens: 100 } });
  const messages = [{ role: "user" as const, content: "long ".repeat(500) }];
  await expect(openai.chat.completions.create({ model: "m1", messages })).rejects.toMatchObject({
    status: 400,
    code: "context_length_exceeded",
  });
});
