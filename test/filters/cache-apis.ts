/** Requests, whole answers and streams of the APIs whose answers are kept, small and with a text to tell them by. */
import { document, events } from "./cache-driver.ts";

export type ApiName = "chat" | "completions" | "responses" | "embeddings" | "messages";

export interface CachedApi {
  readonly path: string;
  /** The least that a request says. */
  request(text: string): Record<string, unknown>;
  document(text: string): string;
  /** An event to a piece; none where the API has no streams. */
  stream(text: string): string[];
}

const data = (value: object): string => `data: ${JSON.stringify(value)}\n\n`;
const event = (value: { type: string; [key: string]: unknown }): string => `event: ${value.type}\n${data(value)}`;

const completion = (choice: object): object => ({
  id: "c1",
  object: "text_completion",
  created: 1,
  model: "m-1",
  choices: [{ index: 0, logprobs: null, ...choice }],
});

const response = (status: string, text?: string): object => ({
  id: "r1",
  object: "response",
  created_at: 1,
  status,
  model: "m-1",
  output: text === undefined ? [] : [message(text)],
  ...(text === undefined ? {} : { usage: { input_tokens: 7, output_tokens: 5, total_tokens: 12 } }),
});
const message = (text: string): object => ({
  id: "i1",
  type: "message",
  status: "completed",
  role: "assistant",
  content: [{ type: "output_text", text, annotations: [], logprobs: [] }],
});

const anthropic = { id: "a1", type: "message", role: "assistant", model: "m-1" };

export const cachedApis: Record<ApiName, CachedApi> = {
  chat: {
    path: "/v1/chat/completions",
    request: (content) => ({ model: "m", messages: [{ role: "user", content }] }),
    document,
    stream: events,
  },
  completions: {
    path: "/v1/completions",
    request: (prompt) => ({ model: "m", prompt }),
    document: (text) =>
      JSON.stringify({
        ...completion({ text, finish_reason: "stop" }),
        usage: { prompt_tokens: 7, completion_tokens: 5, total_tokens: 12 },
      }),
    stream: (text) => [
      ...[...text].map((one) => data(completion({ text: one, finish_reason: null }))),
      data(completion({ text: "", finish_reason: "stop" })),
      "data: [DONE]\n\n",
    ],
  },
  responses: {
    path: "/v1/responses",
    request: (input) => ({ model: "m", input }),
    document: (text) => JSON.stringify(response("completed", text)),
    stream: (text) => {
      const at = { item_id: "i1", output_index: 0, content_index: 0 };
      const part = (content: string) => ({ type: "output_text", text: content, annotations: [], logprobs: [] });
      const list = [
        { type: "response.created", response: response("in_progress") },
        { type: "response.in_progress", response: response("in_progress") },
        {
          type: "response.output_item.added",
          output_index: 0,
          item: { ...message(""), status: "in_progress", content: [] },
        },
        { type: "response.content_part.added", ...at, part: part("") },
        ...[...text].map((delta) => ({ type: "response.output_text.delta", ...at, delta, logprobs: [] })),
        { type: "response.output_text.done", ...at, text, logprobs: [] },
        { type: "response.content_part.done", ...at, part: part(text) },
        { type: "response.output_item.done", output_index: 0, item: message(text) },
        { type: "response.completed", response: response("completed", text) },
      ];
      return list.map((one, index) => event({ ...one, sequence_number: index }));
    },
  },
  embeddings: {
    path: "/v1/embeddings",
    request: (input) => ({ model: "m", input }),
    document: (text) =>
      JSON.stringify({
        object: "list",
        data: [{ object: "embedding", index: 0, embedding: [0.25, -1] }],
        model: text,
        usage: { prompt_tokens: 7, total_tokens: 7 },
      }),
    stream: () => [],
  },
  messages: {
    path: "/v1/messages",
    request: (content) => ({ model: "m", max_tokens: 64, messages: [{ role: "user", content }] }),
    document: (text) =>
      JSON.stringify({
        ...anthropic,
        content: [{ type: "text", text }],
        stop_reason: "end_turn",
        stop_sequence: null,
        usage: { input_tokens: 7, output_tokens: 5 },
      }),
    stream: (text) =>
      [
        {
          type: "message_start",
          message: {
            ...anthropic,
            content: [],
            stop_reason: null,
            stop_sequence: null,
            usage: { input_tokens: 7, output_tokens: 1 },
          },
        },
        { type: "content_block_start", index: 0, content_block: { type: "text", text: "" } },
        { type: "ping" },
        ...[...text].map((one) => ({
          type: "content_block_delta",
          index: 0,
          delta: { type: "text_delta", text: one },
        })),
        { type: "content_block_stop", index: 0 },
        {
          type: "message_delta",
          delta: { stop_reason: "end_turn", stop_sequence: null },
          usage: { output_tokens: 5 },
        },
        { type: "message_stop" },
      ].map(event),
  },
};

export const apiNames = Object.keys(cachedApis) as ApiName[];
export const streamingApis = apiNames.filter((name) => cachedApis[name].stream("").length > 0);
