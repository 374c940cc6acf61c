/** The `@anthropic-ai/sdk` package. */
import Anthropic from "@anthropic-ai/sdk";
import { betaTool } from "@anthropic-ai/sdk/helpers/beta/json-schema";
import { AWKWARD, CITY_SCHEMA, collect, PIXEL, type Scenario, type Target } from "./scenario.ts";

type Message = Anthropic.MessageParam;

const client = ({ url }: Target): Anthropic => new Anthropic({ baseURL: url, apiKey: "anthropic-key", maxRetries: 0 });
const ask = (content: string): Message[] => [{ role: "user", content }];
const tools: Anthropic.Tool[] = [{ name: "get_weather", description: "weather", input_schema: CITY_SCHEMA }];
const image: Message = {
  role: "user",
  content: [
    { type: "image", source: { type: "base64", media_type: "image/png", data: PIXEL } },
    { type: "image", source: { type: "url", url: "https://example.com/cat.png" } },
    { type: "text", text: "what is it?" },
  ],
};

const scenarios: Scenario[] = [
  {
    name: "message",
    shows: ["model claude-sonnet-5-5 on replica", '"stop_reason":"end_turn"', "東京"],
    run: (target) =>
      client(target).messages.create({
        max_tokens: 100,
        system: [{ type: "text", text: "be brief", cache_control: { type: "ephemeral" } }],
        messages: ask(AWKWARD),
        model: target.models.claude,
      }),
  },
  {
    name: "message, streamed",
    shows: ["message_start", "content_block_delta", "message_stop", '"output_tokens":24'],
    run: async (target) => {
      const body = { model: target.models.claude, max_tokens: 100, messages: ask("hello") };
      return collect(await client(target).messages.create({ ...body, stream: true }));
    },
  },
  {
    name: "message, the stream's helper, cut by max_tokens",
    shows: ['"stop_reason":"max_tokens"'],
    run: (target) =>
      client(target)
        .messages.stream({ model: target.models.claude, max_tokens: 3, messages: ask("hello") })
        .finalMessage(),
  },
  {
    name: "images, whole and streamed",
    shows: ["[images: 2]"],
    run: async (target) => {
      const { messages } = client(target);
      const body = { model: target.models.claude, max_tokens: 100, messages: [image] };
      return [await messages.create(body), await messages.stream(body).finalMessage()];
    },
  },
  {
    name: "a tool and its result",
    shows: ['"stop_reason":"tool_use"', '"name":"get_weather"', "21 degrees"],
    run: async (target) => {
      const { messages } = client(target);
      const body = { model: target.models.claude, max_tokens: 100, tools };
      const question = ask("please call get_weather");
      const called = await messages.create({ ...body, messages: question });
      const [block] = called.content;
      if (block?.type !== "tool_use") throw new Error("no tool was called");
      const result = { type: "tool_result" as const, tool_use_id: block.id, content: "21 degrees" };
      const turns: Message[] = [
        ...question,
        { role: "assistant", content: called.content },
        { role: "user", content: [result] },
      ];
      return [called, await messages.create({ ...body, messages: turns })];
    },
  },
  {
    name: "a tool, streamed",
    shows: ["input_json_delta", '"stop_reason":"tool_use"'],
    run: async (target) => {
      const body = { model: target.models.claude, max_tokens: 100, tools, messages: ask("call get_weather") };
      return collect(await client(target).messages.create({ ...body, stream: true }));
    },
  },
  {
    name: "the client's loop over tools", // its path has a query: /v1/messages?beta=true
    shows: ["21 degrees for call get_weather"],
    run: async (target) => {
      const weather = betaTool({
        name: "get_weather",
        description: "weather",
        inputSchema: CITY_SCHEMA,
        run: ({ city }) => `21 degrees for ${city}`,
      });
      const body = { model: target.models.claude, max_tokens: 100, tools: [weather] };
      return client(target).beta.messages.toolRunner({
        ...body,
        messages: [{ role: "user", content: "call get_weather" }],
      });
    },
  },
  {
    name: "count_tokens",
    shows: ['"input_tokens"'],
    run: (target) => client(target).messages.countTokens({ model: target.models.claude, messages: [image], tools }),
  },
];

export const anthropicScenarios: readonly Scenario[] = scenarios.map((one) => ({
  ...one,
  name: `anthropic: ${one.name}`,
}));
