import type { Api } from "./transcode-driver.ts";
import { transcripts } from "./transcripts.ts";

/** Recorded answers that have another form, and what streams are made of. */

const shortNames: Record<string, Api> = {
  "openai.chat": "chat",
  "openai.completions": "completions",
  "openai.responses": "responses",
  "anthropic.messages": "anthropic",
};

export interface Recorded {
  readonly name: string;
  readonly api: Api;
  readonly streamed: boolean;
  readonly body: Buffer;
}

export const recordedAnswers: Recorded[] = transcripts
  .filter(({ api, name }) => api in shortNames && !name.endsWith("-refused"))
  .map(({ api, name, answerType, answerBody }) => ({
    name,
    api: shortNames[api] as Api,
    streamed: answerType.startsWith("text/event-stream"),
    body: answerBody,
  }));

/** Data of the events of a stream, one line each, but `[DONE]`. */
export function dataOf(stream: Buffer | undefined): Record<string, unknown>[] {
  const lines = (stream?.toString() ?? "").split("\n").filter((line) => line.startsWith("data: "));
  const data = lines.map((line) => line.slice("data: ".length)).filter((text) => text !== "[DONE]");
  return data.map((text) => JSON.parse(text) as Record<string, unknown>);
}

/** Of JSON that was written, if it was. */
export const parsed = (bytes: Buffer | undefined): unknown =>
  bytes === undefined ? undefined : JSON.parse(bytes.toString());

// Small answers and events, from which tests make others.

export const head = { id: "c", object: "chat.completion", created: 1, model: "m" };
export const usage = { prompt_tokens: 3, completion_tokens: 4, total_tokens: 7 };
export const choice = {
  index: 0,
  message: { role: "assistant", content: "hi" },
  logprobs: null,
  finish_reason: "stop",
};
export const chunks = (...data: unknown[]) =>
  [...data.map((one) => JSON.stringify(one)), "[DONE]"].map((one) => `data: ${one}\n\n`).join("");
export const chunk = (delta: unknown, rest: object = {}, top: object = {}) => ({
  ...head,
  object: "chat.completion.chunk",
  choices: [{ index: 0, delta, finish_reason: null, ...rest }],
  ...top,
});
export const last = {
  ...head,
  object: "chat.completion.chunk",
  choices: [{ index: 0, delta: {}, finish_reason: "stop" }],
};
export const done = { ...last, usage };
export const message = {
  id: "msg",
  type: "message",
  role: "assistant",
  model: "m",
  content: [] as unknown[],
  stop_reason: "end_turn",
  stop_sequence: null,
  usage: { input_tokens: 1, output_tokens: 2 },
};
export const response = { id: "r", object: "response", status: "completed", output: [] as unknown[], usage: null };
export const events = (...data: { type: string }[]) =>
  data.map((one) => `event: ${one.type}\ndata: ${JSON.stringify(one)}\n\n`).join("");
export const start = { type: "message_start", message: { ...message, stop_reason: null } };
export const block = { type: "content_block_start", index: 0, content_block: { type: "text", text: "" } };
export const delta = (value: object) => ({ type: "content_block_delta", index: 0, delta: value });
export const stop = [
  { type: "content_block_stop", index: 0 },
  { type: "message_delta", delta: { stop_reason: "end_turn" }, usage: { output_tokens: 2 } },
  { type: "message_stop" },
];
