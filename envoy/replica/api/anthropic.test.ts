/** The messages API, as the official client sees it. */
import Anthropic from "@anthropic-ai/sdk";
import { expect, onTestFinished, test } from "vitest";
import { startReplica } from "../server.ts";

async function start(): Promise<Anthropic> {
  const replica = await startReplica({ name: "r1", models: ["m1", "m2"] });
  onTestFinished(() => replica.close());
  return new Anthropic({ baseURL: replica.url, apiKey: "none", maxRetries: 0 });
}

const hello: Anthropic.MessageParam[] = [{ role: "user", content: "hello there" }];
const callWeather: Anthropic.MessageParam[] = [{ role: "user", content: "call weather" }];
const tools: Anthropic.Tool[] = ["clock", "weather"].map((name) => ({
  name,
  input_schema: { type: "object", properties: { city: { type: "string" } }, required: ["city"] },
}));
const body = { model: "m2", max_tokens: 100, messages: hello };

test("a message, whole and streamed", async () => {
  const anthropic = await start();
  const whole = await anthropic.messages.create(body);
  expect(whole.content[0]).toMatchObject({ type: "text", text: expect.stringContaining("model m2 on replica r1") });
  expect(whole.usage.output_tokens).toBe(24);
  const streamed = await anthropic.messages.stream(body).finalMessage();
  expect(streamed.content).toEqual(whole.content);
  expect(streamed.usage.output_tokens).toBe(24);
});

test("the tool that the user names is called, whole and streamed; its result is answered in words", async () => {
  const anthropic = await start();
  const asked = { ...body, messages: callWeather, tools };
  const called = await anthropic.messages.create(asked);
  const [block] = called.content;
  expect(called.stop_reason).toBe("tool_use");
  if (block?.type !== "tool_use") throw new Error("no tool call");
  expect(block).toMatchObject({ name: "weather", input: { city: "call weather" } });
  const streamed = await anthropic.messages.stream(asked).finalMessage();
  expect(streamed.content[0]).toMatchObject({ type: "tool_use", name: "weather", input: block.input });

  const result: Anthropic.ToolResultBlockParam = { type: "tool_result", tool_use_id: block.id, content: "sunny" };
  const messages: Anthropic.MessageParam[] = [
    ...callWeather,
    { role: "assistant", content: called.content },
    { role: "user", content: [result] },
  ];
  const final = await anthropic.messages.create({ ...body, messages, tools });
  expect(final.content[0]).toMatchObject({ text: expect.stringContaining('"sunny"') });
});

test("tool_choice: none, any, by name", async () => {
  const anthropic = await start();
  const called = async (tool_choice: Anthropic.ToolChoice): Promise<unknown> => {
    const { content } = await anthropic.messages.create({ ...body, tools, tool_choice });
    return content[0]?.type === "tool_use" ? content[0].name : undefined;
  };
  expect(await called({ type: "auto" })).toBeUndefined();
  expect(await called({ type: "none" })).toBeUndefined();
  expect(await called({ type: "any" })).toBe("clock");
  expect(await called({ type: "tool", name: "weather" })).toBe("weather");
});

test("images are counted, and count_tokens agrees with the usage", async () => {
  const anthropic = await start();
  const source = { type: "base64" as const, media_type: "image/png" as const, data: "iVBORw0KGgo=" };
  const content = [
    { type: "image" as const, source },
    { type: "text" as const, text: "what is it?" },
  ];
  const asked = { model: "m2", system: "be brief", tools, messages: [{ role: "user" as const, content }] };
  const answer = await anthropic.messages.create({ ...asked, max_tokens: 100 });
  expect(answer.content[0]).toMatchObject({ text: expect.stringContaining("[images: 1]") });
  const { input_tokens } = await anthropic.messages.countTokens(asked);
  expect(input_tokens).toBeGreaterThan(85);
  expect(answer.usage.input_tokens).toBe(input_tokens);
});

test("errors have the client's own classes", async () => {
  const anthropic = await start();
  await expect(anthropic.messages.create({ ...body, model: "x" })).rejects.toThrow(Anthropic.NotFoundError);
  await expect(anthropic.messages.create({ ...body, messages: [] })).rejects.toThrow(Anthropic.BadRequestError);
  await expect(anthropic.messages.countTokens({ model: "x", messages: hello })).rejects.toThrow(
    Anthropic.NotFoundError,
  );
});
