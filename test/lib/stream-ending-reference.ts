import type { Stream, Usage } from "./stream-ending-driver.ts";

/**
 * What stream-ending has to do, the slow way: where a stream can be cut, from its lines, and what has to be written behind the cut, from all events before it parsed as JSON.
 */

type Json = Record<string, unknown>;

/** An event as a client decodes it. */
export interface Decoded {
  readonly event: string;
  readonly data: string;
}

/** Offsets between events, ascending, from 0 on. Between a CR and its LF there is one only if a piece ends there: those are `split`. */
export function places({ bytes, array }: Stream): { whole: Set<number>; split: Set<number> } {
  const text = bytes.toString("latin1");
  const whole = new Set([0]);
  const split = new Set<number>();
  if (array === true) {
    let depth = 0;
    let quoted = false;
    for (let i = 0; i < text.length; i++) {
      if (quoted) {
        if (text[i] === "\\") i++;
        else if (text[i] === '"') quoted = false;
      } else if (text[i] === '"') quoted = true;
      else if (text[i] === "{") depth++;
      else if (text[i] === "}") depth--;
      if (depth === 0 && !quoted) whole.add(i + 1);
    }
    return { whole, split };
  }
  let open = false;
  let at = 0;
  if (text.startsWith("\u00ef\u00bb\u00bf")) {
    at = 3;
    whole.add(3);
  }
  for (const [line, content = "", end = ""] of text.slice(at).matchAll(/([^\r\n]*)(\r\n|\r|\n)/g)) {
    if (content === "") open = false;
    else if (!content.startsWith(":")) open = true;
    at += line.length;
    if (!open) whole.add(at);
    if (!open && end === "\r\n") split.add(at - 1);
  }
  return { whole, split };
}

/** The events of a stream whose lines end in any way. Only complete ones. */
export function decode(text: string): Decoded[] {
  const events: Decoded[] = [];
  let event = "";
  let data: string[] = [];
  for (const [, line = ""] of text.replace(/^\ufeff/, "").matchAll(/([^\r\n]*)(?:\r\n|\r|\n)/g)) {
    const [, name, value = ""] = /^([^:]*):? ?(.*)$/s.exec(line) ?? [];
    if (line === "") {
      if (data.join("\n") !== "") events.push({ event, data: data.join("\n") });
      event = "";
      data = [];
    } else if (name === "event") event = value;
    else if (name === "data") data.push(value);
  }
  return events;
}

const object = (value: unknown): Json => (typeof value === "object" && value !== null ? (value as Json) : {});
const list = (value: unknown): Json[] => (Array.isArray(value) ? value.map(object) : []);

function parse(data: string): Json {
  try {
    return object(JSON.parse(data));
  } catch {
    return {};
  }
}

/** The first text under one of these names that is short enough. */
function named(events: readonly Json[], key: string, otherwise: string): string {
  for (const event of events) {
    const value = event[key];
    if (typeof value === "string" && Buffer.byteLength(value) <= 256) return value;
  }
  return otherwise;
}

/** Indices of parts that began and have no end, below 16. */
function openParts(events: readonly Json[], parts: string, reason: string): number[] {
  const seen = new Set<number>();
  const finished = new Set<number>();
  for (const event of events) {
    for (const part of list(event[parts])) {
      const index = Number(part.index ?? 0);
      if (index > 15) continue;
      seen.add(index);
      if (typeof part[reason] === "string") finished.add(index);
    }
  }
  return [...seen].filter((index) => !finished.has(index)).sort((a, b) => a - b);
}

/** Where the stream is over by itself, or failed: behind the event that says so. */
export function overAt(stream: Stream): number {
  const known = ends.get(stream);
  if (known !== undefined) return known;
  const { whole, split } = places(stream);
  const all = [...whole, ...split].sort((a, b) => a - b);
  // Once over, it stays over.
  let [low, high] = [0, all.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (isOver(stream, all[middle] ?? 0)) high = middle;
    else low = middle + 1;
  }
  const at = all[low] ?? Infinity;
  ends.set(stream, at);
  return at;
}

const ends = new WeakMap<Stream, number>();

function isOver({ api, array, bytes }: Stream, place: number): boolean {
  const text = bytes.subarray(0, place).toString();
  if (array === true) return text.trimEnd().endsWith("]");
  for (const { data } of decode(text)) {
    const event = parse(data);
    if (data.startsWith("[DONE]") || (event.error !== undefined && event.error !== null)) return true;
    const last: Record<string, unknown[]> = {
      anthropic: ["message_stop", "error"],
      responses: ["response.completed", "response.incomplete", "response.failed", "error"],
    };
    if (last[api]?.includes(event.type) === true) return true;
  }
  return false;
}

/** The events that have to come behind `passed` bytes of the stream; of a Gemini array, the objects. */
export function endingOf(stream: Stream, passed: number, usage: Usage): unknown[] {
  const text = stream.bytes.subarray(0, passed).toString();
  const documents = stream.array === true ? elements(text) : decode(text).map(({ data }) => parse(data));
  const counts = { input: usage.input, output: usage.output, total: usage.input + usage.output };
  switch (stream.api) {
    case "anthropic":
      return messages(documents, counts);
    case "responses":
      return responses(documents, counts);
    case "gemini": {
      const begun = documents.some((one) => Array.isArray(one.candidates));
      const open = begun ? openParts(documents, "candidates", "finishReason") : [0];
      const more: Json = {};
      const model = named(documents, "modelVersion", "");
      const id = named(documents, "responseId", "");
      if (documents.some((one) => one.modelVersion === model)) more.modelVersion = model;
      if (documents.some((one) => one.responseId === id)) more.responseId = id;
      const candidates = open.map((index) => ({
        content: { parts: [{ text: "" }], role: "model" },
        finishReason: "MAX_TOKENS",
        index,
      }));
      const usageMetadata = {
        promptTokenCount: counts.input,
        candidatesTokenCount: counts.output,
        totalTokenCount: counts.total,
      };
      if (open.length > 0) return [{ candidates, usageMetadata, ...more }];
      // Behind a comma there has to be something.
      return text.trimEnd().endsWith(",") ? [{}] : [];
    }
    default:
      return completions(documents, stream.api === "chat", usage);
  }
}

interface Counts {
  readonly input: number;
  readonly output: number;
  readonly total: number;
}

function completions(events: readonly Json[], chat: boolean, usage: Usage): unknown[] {
  const begun = events.some((event) => Array.isArray(event.choices));
  const open = begun ? openParts(events, "choices", "finish_reason") : [0];
  const head = {
    id: named(events, "id", chat ? "chatcmpl-stopped" : "cmpl-stopped"),
    object: chat ? "chat.completion.chunk" : "text_completion",
    created: events.map((event) => event.created).find((one) => Number.isInteger(one) && Number(one) > 0) ?? 0,
    model: named(events, "model", ""),
  };
  const rest = { logprobs: null, finish_reason: "length" };
  const choices = open.map((index) => {
    if (!chat) return { index, text: "", ...rest };
    return { index, delta: begun ? {} : { role: "assistant", content: "" }, ...rest };
  });
  const reported = events.some(
    (event) =>
      Array.isArray(event.choices) &&
      event.choices.length === 0 &&
      typeof event.usage === "object" &&
      event.usage !== null,
  );
  const { input, output } = usage;
  const ending: unknown[] = open.length === 0 ? [] : [{ ...head, choices }];
  if (usage.asked && !reported) {
    const total_tokens = input + output;
    ending.push({ ...head, choices: [], usage: { prompt_tokens: input, completion_tokens: output, total_tokens } });
  }
  return [...ending, "[DONE]"];
}

function messages(events: readonly Json[], { input, output }: Counts): unknown[] {
  const ending: unknown[] = [];
  if (!events.some((event) => event.type === "message_start")) {
    const message = { id: "msg_stopped", type: "message", role: "assistant", model: "", content: [] };
    const usage = { input_tokens: input, output_tokens: 0 };
    ending.push({ type: "message_start", message: { ...message, stop_reason: null, stop_sequence: null, usage } });
  }
  const indices = (type: string) =>
    events.filter((event) => event.type === type).map((event) => Number(event.index ?? 0));
  const stopped = indices("content_block_stop");
  for (const index of [...new Set(indices("content_block_start"))].sort((a, b) => a - b)) {
    if (index < 16 && !stopped.includes(index)) ending.push({ type: "content_block_stop", index });
  }
  if (!events.some((event) => event.type === "message_delta" && typeof object(event.delta).stop_reason === "string")) {
    const delta = { stop_reason: "max_tokens", stop_sequence: null };
    ending.push({ type: "message_delta", delta, usage: { output_tokens: output } });
  }
  return [...ending, { type: "message_stop" }];
}

function responses(events: readonly Json[], { input, output, total }: Counts): unknown[] {
  const told = events.map((event) => object(event.response));
  const head = {
    id: named(told, "id", "resp_stopped"),
    object: "response",
    created_at: told.map((one) => one.created_at).find((one) => Number.isInteger(one) && Number(one) > 0) ?? 0,
  };
  const model = named(told, "model", "");
  const numbers = events.map((event) => event.sequence_number).filter(Number.isInteger) as number[];
  const ending: unknown[] = [];
  let next = numbers.length > 0 ? Number(numbers.at(-1)) + 1 : undefined;
  if (!events.some((event) => event.type === "response.created")) {
    const response = {
      ...head,
      status: "in_progress",
      error: null,
      model,
      incomplete_details: null,
      output: [],
      usage: null,
    };
    ending.push({ type: "response.created", sequence_number: 0, response });
    next = 1;
  }
  const usage = {
    input_tokens: input,
    input_tokens_details: { cached_tokens: 0 },
    output_tokens: output,
    output_tokens_details: { reasoning_tokens: 0 },
    total_tokens: total,
  };
  const incomplete_details = { reason: "max_output_tokens" };
  const response = { ...head, status: "incomplete", error: null, model, incomplete_details, output: [], usage };
  const sequence = next === undefined ? {} : { sequence_number: next };
  return [...ending, { type: "response.incomplete", ...sequence, response }];
}

/** The objects of an array that may not be closed. */
function elements(text: string): Json[] {
  const open = text.trim().replace(/,$/, "").replace(/\]$/, "");
  return open === "" ? [] : (JSON.parse(`${open}]`) as Json[]);
}
