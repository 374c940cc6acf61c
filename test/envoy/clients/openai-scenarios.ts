/** The `openai` package: text. */
import OpenAI from "openai";
import { AWKWARD, CITY_SCHEMA, collect, PIXEL, type Scenario, type Target } from "./scenario.ts";

type Message = OpenAI.ChatCompletionMessageParam;

const client = ({ url }: Target): OpenAI => new OpenAI({ baseURL: `${url}/v1`, apiKey: "openai-key", maxRetries: 0 });
const ask = (content: string): Message[] => [{ role: "user", content }];
const image: OpenAI.ChatCompletionContentPart = {
  type: "image_url",
  image_url: { url: `data:image/png;base64,${PIXEL}` },
};
const functions: OpenAI.ChatCompletionFunctionTool[] = [
  { type: "function", function: { name: "get_weather", parameters: CITY_SCHEMA } },
];
const responseTools: OpenAI.Responses.FunctionTool[] = [
  { type: "function", name: "get_weather", parameters: CITY_SCHEMA, strict: true },
];

const chat: Scenario[] = [
  {
    name: "chat",
    shows: ["model gpt-4o-mini on replica", "東京", '"x-replica":"twin"', '"content-type":"application/json"'],
    run: async (target) => {
      const call = client(target).chat.completions.create({ model: target.models.chat, messages: ask(AWKWARD) });
      const { data, response } = await call.withResponse();
      const names = ["content-type", "content-length", "x-replica"];
      return {
        data,
        status: response.status,
        headers: Object.fromEntries(names.map((name) => [name, response.headers.get(name)])),
      };
    },
  },
  {
    name: "chat, streamed, with usage",
    shows: ['"finish_reason":"stop"', '"completion_tokens":24'],
    run: async (target) => {
      const body = { model: target.models.chat, messages: ask("hello"), stream_options: { include_usage: true } };
      return collect(await client(target).chat.completions.create({ ...body, stream: true }));
    },
  },
  {
    name: "chat, a long conversation",
    shows: ['"finish_reason":"length"'],
    run: (target) => {
      const turns = Array.from({ length: 40 }, (_, i): Message[] => [
        { role: "user", content: `${i} ${"long ".repeat(1000)}` },
        { role: "assistant", content: `answer ${i} ${AWKWARD}` },
      ]);
      const messages = [...turns.flat(), ...ask("and now?")];
      return client(target).chat.completions.create({ messages, model: target.models.chat, max_completion_tokens: 5 });
    },
  },
  {
    name: "chat, images",
    shows: ["[images: 2]"],
    run: (target) => {
      const url = "https://example.com/cat.png";
      const content = [{ type: "text" as const, text: "what is it?" }, image, { ...image, image_url: { url } }];
      return client(target).chat.completions.create({
        model: target.models.chat,
        messages: [{ role: "user", content }],
      });
    },
  },
  {
    name: "chat, images, streamed",
    shows: ["[images: 1]"],
    run: async (target) => {
      const messages: Message[] = [{ role: "user", content: [{ type: "text", text: "what is it?" }, image] }];
      return collect(
        await client(target).chat.completions.create({ model: target.models.chat, messages, stream: true }),
      );
    },
  },
  {
    name: "chat, a tool and its result",
    shows: ['"name":"get_weather"', '"finish_reason":"tool_calls"', "21 degrees"],
    run: async (target) => {
      const openai = client(target);
      const body = { model: target.models.chat, tools: functions };
      const question = ask("please call get_weather for me");
      const called = await openai.chat.completions.create({ ...body, messages: question });
      const message = called.choices[0]?.message;
      const id = message?.tool_calls?.[0]?.id;
      if (message === undefined || id === undefined) throw new Error("no tool was called");
      const messages: Message[] = [...question, message, { role: "tool", tool_call_id: id, content: "21 degrees" }];
      return [called, await openai.chat.completions.create({ ...body, messages })];
    },
  },
  {
    name: "chat, a tool, streamed",
    shows: ['"arguments":"{\\"city\\"', '"finish_reason":"tool_calls"'],
    run: async (target) => {
      const body = { model: target.models.chat, messages: ask("call get_weather"), tools: functions };
      return collect(await client(target).chat.completions.create({ ...body, stream: true }));
    },
  },
  {
    name: "chat, the client's loop over tools, streamed",
    shows: ["21 degrees for call get_weather"],
    run: async (target) => {
      const weather = ({ city }: { city: string }): string => `21 degrees for ${city}`;
      const tool = {
        name: "get_weather",
        description: "weather",
        parameters: CITY_SCHEMA,
        parse: JSON.parse,
        function: weather,
      };
      const runner = client(target).chat.completions.runTools({
        model: target.models.chat,
        stream: true,
        messages: ask("call get_weather"),
        tools: [{ type: "function", function: tool }],
      });
      await runner.done();
      return runner.messages;
    },
  },
];

const others: Scenario[] = [
  {
    name: "completions, whole and streamed",
    shows: ["model gpt-4o-mini on replica", '"finish_reason":"length"'],
    run: async (target) => {
      const body = { model: target.models.chat, prompt: "once upon a time", max_tokens: 12 };
      const openai = client(target);
      return [
        await openai.completions.create(body),
        await collect(await openai.completions.create({ ...body, stream: true })),
      ];
    },
  },
  {
    name: "responses",
    shows: ["model gpt-4o-mini on replica", '"status":"completed"'],
    run: (target) =>
      client(target).responses.create({ model: target.models.chat, input: AWKWARD, instructions: "be brief" }),
  },
  {
    name: "responses, streamed, with an image",
    shows: ["response.output_text.delta", "response.completed", "[images: 1]"],
    run: async (target) => {
      const picture = {
        type: "input_image" as const,
        image_url: `data:image/png;base64,${PIXEL}`,
        detail: "auto" as const,
      };
      const content = [{ type: "input_text" as const, text: "what is it?" }, picture];
      const body = { model: target.models.chat, input: [{ role: "user" as const, content }] };
      return collect(await client(target).responses.create({ ...body, stream: true }));
    },
  },
  {
    name: "responses, a tool and its result, streamed",
    shows: ["response.function_call_arguments.delta", '"type":"function_call"', "21 degrees"],
    run: async (target) => {
      const openai = client(target);
      const body = { model: target.models.chat, tools: responseTools };
      const question: OpenAI.Responses.ResponseInput = [{ role: "user", content: "call get_weather" }];
      const events = await collect(await openai.responses.create({ ...body, input: question, stream: true }));
      const last = events.at(-1);
      const call = last?.type === "response.completed" ? last.response.output[0] : undefined;
      if (call?.type !== "function_call") throw new Error("no tool was called");
      const output = { type: "function_call_output" as const, call_id: call.call_id, output: "21 degrees" };
      return [events, await openai.responses.stream({ ...body, input: [...question, call, output] }).finalResponse()];
    },
  },
  {
    name: "embeddings, as base64 and as numbers",
    shows: ['"object":"embedding"', '"total_tokens"'],
    run: async (target) => {
      const body = { model: target.models.embedding, input: ["one", AWKWARD] };
      const openai = client(target);
      return [
        await openai.embeddings.create(body),
        await openai.embeddings.create({ ...body, encoding_format: "float" }),
      ];
    },
  },
  {
    name: "models",
    shows: ['"id":"gpt-4o-mini"'],
    run: async (target) => (await client(target).models.list()).data,
  },
];

export const openaiScenarios: readonly Scenario[] = [...chat, ...others].map((one) => ({
  ...one,
  name: `openai: ${one.name}`,
}));
