import fc from "fast-check";
import type { Api } from "./transcode-driver.ts";

/** Answers of every API, and streams of them that are cut as a server might, not as ours are. */

type Json = Record<string, unknown>;

const text = fc.oneof(
  { weight: 6, arbitrary: fc.string({ unit: "binary", maxLength: 24 }) },
  {
    weight: 2,
    arbitrary: fc.string({
      unit: fc.constantFrom('"', "\\", "\n", "\u0000", "é", "東", "\ud83d\ude00", "a"),
      maxLength: 40,
    }),
  },
  {
    weight: 1,
    arbitrary: fc
      .tuple(fc.string({ unit: "grapheme", minLength: 1, maxLength: 9 }), fc.nat(9000))
      .map(([part, times]) => part.repeat(times)),
  },
);
const full = fc.string({ unit: "binary", minLength: 1, maxLength: 12 });
const nullable = (of: fc.Arbitrary<unknown>) => fc.oneof(fc.constant(null), of);
const value = fc.jsonValue({ maxDepth: 3 }) as fc.Arbitrary<unknown>;
const names = ["service_tier", "x", "index", "provider_specific_fields", "citations", "seed", "timings"];
const more = (keys: string[], of: fc.Arbitrary<unknown> = value) =>
  fc.dictionary(fc.constantFrom(...keys), of, { maxKeys: 2 });
const optional = (members: Record<string, fc.Arbitrary<unknown>>) => fc.record(members, { requiredKeys: [] });
const merged = (...parts: fc.Arbitrary<Json>[]): fc.Arbitrary<Json> =>
  fc.tuple(...parts).map((members) => Object.assign({}, ...members) as Json);

const tokens = fc.nat(1_000_000);
const usage = fc.record({
  prompt_tokens: fc.integer({ min: 1, max: 99 }),
  completion_tokens: tokens,
  total_tokens: tokens,
  details: value,
});
const token = fc.record({ token: text, logprob: fc.double({ noNaN: true, noDefaultInfinity: true }), bytes: value });
const call = merged(
  fc.record({ id: full, type: fc.constant("function") }),
  fc.record({ function: fc.record({ name: full, arguments: text }) }),
  more(["x", "extra"]),
);
const chatMessage = merged(
  fc.record({ role: fc.constant("assistant"), content: nullable(text) }),
  optional({
    refusal: nullable(text),
    reasoning_content: nullable(text),
    annotations: fc.array(value, { maxLength: 3 }),
    tool_calls: fc.array(call, { maxLength: 3 }),
    function_call: nullable(fc.record({ name: full, arguments: text })),
  }),
  more(["x", "thinking_blocks"]),
);
const indexed = (choices: Json[]) => choices.map((choice, index) => ({ ...choice, index }));
const reason = fc.constantFrom("stop", "length", "tool_calls");
const chat = merged(
  fc.record({
    id: full,
    object: fc.constant("chat.completion"),
    created: tokens,
    model: full,
    choices: fc
      .array(
        merged(
          fc.record({ message: chatMessage, finish_reason: reason }),
          optional({
            logprobs: nullable(
              fc.record({ content: nullable(fc.array(token, { maxLength: 3 })), refusal: fc.constant(null) }),
            ),
          }),
          more(["x", "seed"]),
        ),
        { minLength: 1, maxLength: 3 },
      )
      .map(indexed),
    usage,
  }),
  more(names),
);
const completions = merged(
  fc.record({
    id: full,
    object: fc.constant("text_completion"),
    created: tokens,
    model: full,
    choices: fc
      .array(
        merged(
          fc.record({ text, finish_reason: reason }),
          optional({
            logprobs: nullable(
              fc.record({ tokens: fc.array(text, { maxLength: 3 }), text_offset: fc.array(tokens, { maxLength: 3 }) }),
            ),
          }),
          more(["stop_reason"]),
        ),
        { minLength: 1, maxLength: 3 },
      )
      .map(indexed),
    usage,
  }),
  more(names),
);
const block = fc.oneof(
  merged(
    fc.record({ type: fc.constant("text"), text }),
    optional({ citations: nullable(fc.array(value, { maxLength: 3 })) }),
    more(["x", "index"]),
  ),
  fc.record({ type: fc.constant("thinking"), thinking: text, signature: text }),
  merged(
    fc.record({ type: fc.constantFrom("tool_use", "server_tool_use"), id: full, name: full }),
    fc.record({ input: fc.dictionary(text, value, { maxKeys: 3 }) }),
    more(["x", "caller"]),
  ),
  fc.record({ type: fc.constant("redacted_thinking"), data: full }),
  fc.record({ type: fc.constant("web_search_tool_result"), content: fc.array(value, { maxLength: 3 }), text }),
);
const anthropic = merged(
  fc.record({
    id: full,
    type: fc.constant("message"),
    role: fc.constant("assistant"),
    model: full,
    content: fc.array(block, { maxLength: 4 }),
    stop_reason: fc.constantFrom("end_turn", "max_tokens", "tool_use"),
    stop_sequence: nullable(full),
    usage: merged(fc.record({ input_tokens: tokens, output_tokens: tokens }), more(["cache_creation", "index"])),
  }),
  more(["container", "stop_details", "index", "x"]),
);
const part = fc.oneof(
  fc.record({
    type: fc.constant("output_text"),
    text,
    annotations: fc.array(value, { maxLength: 3 }),
    logprobs: fc.array(token, { maxLength: 2 }),
  }),
  fc.record({ type: fc.constant("refusal"), refusal: text }),
);
const item = fc.oneof(
  fc.record({
    id: full,
    type: fc.constant("message"),
    status: fc.constant("completed"),
    role: fc.constant("assistant"),
    content: fc.array(part, { maxLength: 3 }),
  }),
  merged(
    fc.record({
      id: full,
      type: fc.constant("reasoning"),
      summary: fc.array(fc.record({ type: fc.constant("summary_text"), text }), { maxLength: 3 }),
    }),
    optional({
      content: fc.array(fc.record({ type: fc.constant("reasoning_text"), text }), { maxLength: 2 }),
      encrypted_content: nullable(text),
    }),
  ),
  merged(
    fc.record({
      id: full,
      type: fc.constantFrom("function_call", "mcp_call"),
      call_id: full,
      name: full,
      arguments: text,
    }),
    more(["x", "index"]),
  ),
  fc.record({ id: full, type: fc.constant("custom_tool_call"), name: full, input: text }),
  merged(
    fc.record({ id: full, type: fc.constant("web_search_call"), status: fc.constant("completed") }),
    more(["action", "input"]),
  ),
);
const responses = merged(
  fc.record({
    id: full,
    object: fc.constant("response"),
    created_at: tokens,
    status: fc.constantFrom("completed", "incomplete"),
    output: fc.array(item, { maxLength: 4 }),
    usage: nullable(fc.record({ input_tokens: tokens, output_tokens: tokens })),
  }),
  more(["incomplete_details", "completed_at", "tools", "index"]),
);

export const documents: Record<"chat" | "completions" | "anthropic" | "responses", fc.Arbitrary<Json>> = {
  chat,
  completions,
  anthropic,
  responses,
};

/** Pieces of a text, cut anywhere, even in a surrogate pair; the sizes repeat. */
function piecesOf(whole: string, sizes: readonly number[]): string[] {
  const pieces: string[] = [];
  for (let at = 0, turn = 0; at < whole.length; turn++) {
    const size = Math.max(sizes[turn % sizes.length] ?? 1, Math.ceil(whole.length / 50));
    pieces.push(whole.slice(at, at + size));
    at += size;
  }
  return pieces;
}

const sse = (data: readonly unknown[]) =>
  data.map((one) => `data: ${typeof one === "string" ? one : JSON.stringify(one)}\n\n`).join("");

interface ChatChoice {
  index: number;
  message: Json & {
    tool_calls?: (Json & { function: { name: string; arguments: string } })[];
    function_call?: Json | null;
  };
  text?: string;
  logprobs?: Record<string, unknown[] | null> | null;
  finish_reason: string;
}

/** Chunks of a whole answer: choices take turns, texts and logprobs come in pieces, nothing is repeated but what every chunk has. */
function chunksOf(api: Api, document: Json, sizes: readonly number[]): string {
  const {
    id,
    created,
    model,
    choices,
    usage: counted,
    object: _,
    ...others
  } = document as Json & { choices: ChatChoice[] };
  const head = { id, created, model, object: api === "chat" ? "chat.completion.chunk" : "text_completion" };
  const queues = choices.map(({ index, message, text: said, logprobs, finish_reason, ...rest }) => {
    const queue: Json[] = [];
    const say = (delta: Json, more: Json = {}) =>
      queue.push(api === "chat" ? { delta, index, finish_reason: null, ...more } : { index, ...delta, ...more });
    if (api === "chat") {
      const { tool_calls, ...members } = message;
      const texts = Object.entries(members).filter(
        ([name, one]) => ["content", "refusal", "reasoning_content"].includes(name) && typeof one === "string",
      );
      const whole = Object.fromEntries(
        Object.entries(members).map(([name, one]) => [name, texts.some(([key]) => key === name) ? "" : one]),
      );
      say(tool_calls?.length === 0 ? { ...whole, tool_calls } : whole);
      for (const [name, one] of texts) for (const piece of piecesOf(one as string, sizes)) say({ [name]: piece });
      for (const [
        place,
        {
          function: { name, arguments: given },
          ...call
        },
      ] of (tool_calls ?? []).entries()) {
        say({ tool_calls: [{ ...call, index: place, function: { name } }] });
        for (const piece of ["", ...piecesOf(given, sizes)])
          say({ tool_calls: [{ index: place, function: { arguments: piece } }] });
      }
    } else {
      for (const piece of ["", ...piecesOf(said ?? "", sizes)]) say({ text: piece });
    }
    if (logprobs === null) say({}, { logprobs });
    for (const [name, one] of Object.entries(logprobs ?? {})) {
      say({}, { logprobs: { [name]: one === null ? null : [] } });
      for (const each of one ?? []) say({}, { logprobs: { [name]: [each] } });
    }
    say({}, { ...rest, finish_reason });
    return queue;
  });
  const data: unknown[] = [];
  while (queues.some((queue) => queue.length > 0)) {
    for (const [turn, queue] of queues.entries()) {
      for (let i = 0; i <= (sizes[turn % sizes.length] ?? 0); i++) {
        const one = queue.shift();
        if (one !== undefined) data.push({ ...head, choices: [one], usage: null });
      }
    }
  }
  return sse([...data, { ...head, ...others, choices: [], usage: counted }, "[DONE]"]);
}

function eventsOf(document: Json, sizes: readonly number[]): string {
  const {
    content,
    stop_reason,
    stop_sequence,
    usage: counted,
    ...rest
  } = document as Json & { content: Json[]; usage: Json };
  const data: unknown[] = [];
  const { output_tokens, ...before } = counted;
  data.push({
    type: "message_start",
    message: { ...rest, content: [], stop_reason: null, stop_sequence: null, usage: { ...before, output_tokens: 1 } },
  });
  for (const [index, one] of content.entries()) {
    const delta = (value: Json) => data.push({ index, type: "content_block_delta", delta: value });
    const { text: said, thinking, signature, citations, input, ...others } = one;
    if (one.type === "text") {
      data.push({
        type: "content_block_start",
        index,
        content_block: { ...others, text: "", ...("citations" in one ? { citations: citations && [] } : {}) },
      });
      for (const piece of piecesOf(said as string, sizes)) delta({ type: "text_delta", text: piece });
      for (const citation of (citations as unknown[] | null | undefined) ?? [])
        delta({ type: "citations_delta", citation });
    } else if (one.type === "thinking") {
      data.push({ type: "content_block_start", index, content_block: { ...others, thinking: "" } });
      for (const piece of piecesOf(thinking as string, sizes)) delta({ type: "thinking_delta", thinking: piece });
      delta({ type: "signature_delta", signature });
    } else if (input !== undefined) {
      data.push({ type: "content_block_start", index, content_block: { ...others, input: {} } });
      for (const piece of ["", ...piecesOf(JSON.stringify(input, null, 1), sizes)])
        delta({ type: "input_json_delta", partial_json: piece });
    } else {
      data.push({ type: "content_block_start", index, content_block: one });
    }
    data.push({ type: "content_block_stop", index }, { type: "ping" });
  }
  data.push(
    { type: "message_delta", delta: { stop_reason, stop_sequence }, usage: { output_tokens } },
    { type: "message_stop" },
  );
  return sse(data);
}

/** The stream of an answer. */
export function streamOf(api: Api, document: Json, sizes: readonly number[]): string {
  if (api === "anthropic") return eventsOf(document, sizes);
  if (api !== "responses") return chunksOf(api, document, sizes);
  return sse([
    { type: "response.created", response: { ...document, output: [] } },
    { type: "response.completed", response: document },
  ]);
}
