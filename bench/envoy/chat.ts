/**
 * What clients and models send in this benchmark: chat completion requests of a given size, one JSON answer, one event stream. All of it is made
 * from a seed, so every run and every arm sees the same bytes.
 */

/** What every answer reports; the probe looks for exactly these. */
export const usageOfAnswer = { prompt_tokens: 1_234, completion_tokens: 56 } as const;
export const usageOfStream = { prompt_tokens: 1_234, completion_tokens: 196 } as const;

/** Events of the stream, `[DONE]` included. */
export const eventsPerStream = 200;

/** A small seeded generator (mulberry32); uniform in [0, 1). */
export function randomNumbers(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 0x1_0000_0000;
  };
}

const words =
  "the of and a to in is that it for as with was on are by this be from at which or have an they one all there more if when will service request latency token cache model replica deploy cluster gateway please explain summarise compare refactor function returns error because however therefore".split(
    " ",
  );

/** Pieces that make JSON text expensive to scan: escapes, quoted keys that look like ours, source code, text beyond ASCII. */
const spices = [
  'He said: "use the other endpoint, please".\n',
  '```json\n{"model": "not-this-one", "usage": {"prompt_tokens": 9}}\n```\n',
  'if (line.match(/^\\s*"(\\w+)"\\s*:/)) {\n\treturn { ok: false };\n}\n',
  "Das Modell läuft über fünf Gateways – schön.\n",
  "请用三句话总结这段文字。\n",
  "path = C:\\data\\models\\latest\n\n",
];

function text(random: () => number, characters: number): string {
  let result = "";
  while (result.length < characters) {
    if (random() < 0.04) result += spices[Math.floor(random() * spices.length)] ?? "";
    else result += words[Math.floor(random() * words.length)] ?? "";
    result += random() < 0.08 ? ". " : " ";
    if (random() < 0.02) result += "\n\n";
  }
  return result.slice(0, characters);
}

export interface ChatRequest {
  readonly model: string;
  /** Size of the JSON text to aim at; the result is within 1 % or 64 bytes above it. */
  readonly bytes: number;
  readonly seed: number;
  /** Official Python client: `messages` first, `model` after it. True puts `model` in front. */
  readonly modelFirst?: boolean;
  readonly stream?: boolean;
  /** The last words of the last message. */
  readonly ending?: string;
}

/** The JSON text of a chat completion request, compact and unescaped beyond ASCII as the clients write it. */
export function chatRequest({
  model,
  bytes,
  seed,
  modelFirst = false,
  stream = false,
  ending = "",
}: ChatRequest): string {
  const random = randomNumbers(seed);
  const rest = stream ? { stream: true, stream_options: { include_usage: true } } : {};
  const write = (messages: readonly object[]): string =>
    JSON.stringify(modelFirst ? { model, messages, ...rest } : { messages, model, ...rest });
  const perMessage = Math.min(Math.max(Math.floor(bytes / 8), 200), 16_000);
  const messages = [{ role: "system", content: "You are a careful assistant. Answer in one paragraph." }];
  let size = Buffer.byteLength(write(messages)) + Buffer.byteLength(ending);
  while (size < bytes) {
    const role = messages.length % 2 === 1 ? "user" : "assistant";
    // About 1.04 bytes of JSON per character of text.
    const characters = Math.max(Math.min(perMessage, Math.floor((bytes - size) / 1.04)), 8);
    const message = { role, content: text(random, characters) };
    messages.push(message);
    size += Buffer.byteLength(JSON.stringify(message)) + 1;
  }
  const last = messages.at(-1);
  if (last !== undefined) last.content += ending;
  return write(messages);
}

const envelope = { id: "chatcmpl-7f1d0c52a9", created: 1_760_000_000, model: "gpt-4o-2024-11-20" };

/** A non-streaming answer with usage. */
export const chatAnswer = (): string =>
  JSON.stringify({
    ...envelope,
    object: "chat.completion",
    choices: [
      {
        index: 0,
        message: { role: "assistant", content: text(randomNumbers(7), 260), refusal: null },
        logprobs: null,
        finish_reason: "stop",
      },
    ],
    usage: {
      ...usageOfAnswer,
      total_tokens: usageOfAnswer.prompt_tokens + usageOfAnswer.completion_tokens,
      prompt_tokens_details: { cached_tokens: 1_024 },
    },
  });

/** The same as server-sent events, in the way vLLM writes them: only the last chunk before `[DONE]` has a `usage`. */
export function chatStream(): string {
  const random = randomNumbers(8);
  const chunk = (choices: readonly object[], more: object = {}): string =>
    `data: ${JSON.stringify({ ...envelope, object: "chat.completion.chunk", choices, ...more })}\n\n`;
  const delta = (content: object, finish: string | null): string =>
    chunk([{ index: 0, delta: content, logprobs: null, finish_reason: finish }]);
  const events = [delta({ role: "assistant", content: "" }, null)];
  for (let index = 0; index < usageOfStream.completion_tokens; index++) {
    events.push(delta({ content: ` ${text(random, 6)}` }, null));
  }
  const total = usageOfStream.prompt_tokens + usageOfStream.completion_tokens;
  events.push(delta({}, "stop"), chunk([], { usage: { ...usageOfStream, total_tokens: total } }), "data: [DONE]\n\n");
  return events.join("");
}

/** Of every request. */
export const host = "llm.example.com";
/** The API key of every request. */
export const authorization = "Bearer sk-0123456789abcdef0123456789abcdef";

/** A whole HTTP/1.1 request as the Python client of OpenAI sends it (header names and order shortened in nothing that matters to a filter). */
export function httpRequest(body: string, events: boolean): Buffer {
  const content = Buffer.from(body);
  const headers = [
    "POST /v1/chat/completions HTTP/1.1",
    `host: ${host}`,
    "accept-encoding: identity",
    "connection: keep-alive",
    "accept: application/json",
    "content-type: application/json",
    "user-agent: OpenAI/Python 2.54.0",
    "x-stainless-lang: python",
    "x-stainless-package-version: 2.54.0",
    "x-stainless-os: Linux",
    "x-stainless-arch: x64",
    "x-stainless-runtime: CPython",
    "x-stainless-runtime-version: 3.12.4",
    `authorization: ${authorization}`,
    "x-stainless-retry-count: 0",
    "x-stainless-read-timeout: 600",
    ...(events ? ["x-bench-answer: sse"] : []),
    `content-length: ${content.length}`,
  ];
  return Buffer.concat([Buffer.from(`${headers.join("\r\n")}\r\n\r\n`), content]);
}
