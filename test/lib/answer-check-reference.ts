import type { Answer, Api, Verdict } from "./answer-check-driver.ts";

/** What answer-check has to say, the slow way: all events of an answer, parsed as JSON, looked at with everything at hand. */

type Json = Record<string, unknown>;

const isObject = (value: unknown): value is Json =>
  typeof value === "object" && value !== null && !Array.isArray(value);
const object = (value: unknown): Json => (isObject(value) ? value : {});

const stop = ["stop", "STOP", "tool_calls", "function_call", "end_turn", "stop_sequence", "tool_use", "completed"];
stop.push("eos", "eos_token");
const tokenLimit = ["length", "model_length", "max_tokens", "MAX_TOKENS", "max_output_tokens"];
tokenLimit.push("model_context_window_exceeded");
const goesOn = ["", "queued", "in_progress", "cancelled", "pause_turn", "incomplete", "FINISH_REASON_UNSPECIFIED"];
const filters = ["refusal", "SAFETY", "RECITATION", "BLOCKLIST", "PROHIBITED_CONTENT", "SPII"];

const order: readonly Verdict[] = ["truncated", "unknown", "filtered", "error"];

/** `no JSON`: the grammar is broken or not complete, so it must not be whole; which of the others it is depends on where it breaks. */
export type Expected = Verdict | "no JSON";

class Judge {
  verdict: Verdict = "truncated";
  begun = false;
  over = false;
  done = false;
  reason = false;
  readonly open = new Map<number, boolean>();

  constructor(
    private readonly api: Api,
    private readonly streamed: boolean,
    private readonly allowLength: boolean,
  ) {}

  raise(verdict: Verdict): void {
    if (order.indexOf(verdict) > order.indexOf(this.verdict)) this.verdict = verdict;
  }

  /** Whether this is a reason for an end. */
  ends(value: unknown): boolean {
    if (value === null || value === undefined) return false;
    if (typeof value !== "string") this.raise("unknown");
    else if (stop.includes(value)) return true;
    else if (tokenLimit.includes(value)) return this.allowLength;
    else if (filters.includes(value) || /^(content_filter|IMAGE_)/.test(value)) this.raise("filtered");
    else if (value === "error" || value === "failed") this.raise("error");
    else if (!goesOn.includes(value)) this.raise("unknown");
    return false;
  }

  error(holder: Json): void {
    if ((holder.error ?? null) !== null) this.raise("error");
  }

  refusal(value: unknown): void {
    if ((value ?? null) !== null && value !== "") this.raise("filtered");
  }

  /** Parts of a list; undefined when there is none. */
  parts(value: unknown, each: (part: Json, place: number) => void): number | undefined {
    if (!Array.isArray(value)) return undefined;
    value.forEach((part, place) => {
      if (isObject(part)) each(part, place);
      else this.raise("unknown");
    });
    return value.length;
  }

  choices(value: unknown): number | undefined {
    return this.parts(value, (choice, place) => {
      this.error(choice);
      const message = object(this.streamed ? choice.delta : choice.message);
      this.refusal(message.refusal);
      if (!this.streamed && this.api === "chat" && !isObject(choice.message)) this.raise("unknown");
      if (!this.streamed && this.api === "completions" && typeof choice.text !== "string") this.raise("unknown");
      this.part(choice.index, place, this.ends(choice.finish_reason));
    });
  }

  candidates(value: unknown): number | undefined {
    return this.parts(value, (candidate, place) => {
      const ends = this.ends(candidate.finishReason);
      this.part(this.streamed ? candidate.index : undefined, place, ends, true);
    });
  }

  part(index: unknown, place: number, ends: boolean, once = false): void {
    if (index !== undefined && !(Number.isInteger(index) && Number(index) >= 0 && Number(index) < 128)) {
      this.raise("unknown");
      return;
    }
    const at = this.streamed && index !== undefined ? Number(index) : place;
    if (at >= 128 || (once && this.open.get(at) === false)) {
      this.raise("unknown");
      return;
    }
    this.open.set(at, this.open.get(at) !== false && !ends);
  }

  /** Whether the status is that of a whole answer. */
  response(response: Json): boolean {
    this.error(response);
    const reason = this.ends(object(response.incomplete_details).reason);
    const status = this.ends(response.status);
    this.parts(response.output, (item) => {
      if (!Array.isArray(item.content)) return;
      for (const part of item.content) if (object(part).type === "refusal") this.raise("filtered");
    });
    return (status && !tokenLimit.includes(String(response.status))) || (response.status === "incomplete" && reason);
  }

  get allEnded(): boolean {
    return ![...this.open.values()].includes(true);
  }

  document(json: Json): Verdict {
    this.error(json);
    let known = true;
    let whole = false;
    if (this.api === "embeddings") {
      known =
        (this.parts(json.data, ({ embedding }) => {
          const some = typeof embedding === "string" || Array.isArray(embedding);
          if (!some || embedding.length === 0) this.raise("unknown");
        }) ?? 0) > 0;
      whole = true;
    } else if (this.api === "anthropic") {
      this.type(json.type);
      whole = this.ends(json.stop_reason);
      known = Array.isArray(json.content) && json.stop_reason !== undefined;
    } else if (this.api === "responses") {
      whole = this.response(json);
      known = Array.isArray(json.output) && json.output.length > 0 && json.status !== undefined;
    } else {
      const count = this.api === "gemini" ? this.candidates(json.candidates) : this.choices(json.choices);
      if (this.api === "gemini") this.blocked(json);
      known = (count ?? 0) > 0;
      whole = this.allEnded;
    }
    if (this.verdict !== "truncated") return this.verdict;
    return !known ? "unknown" : whole ? "whole" : "truncated";
  }

  blocked(json: Json): void {
    if ((object(json.promptFeedback).blockReason ?? null) !== null) this.raise("filtered");
  }

  type(type: unknown): void {
    if (type === "error") this.raise("error");
    if (this.api !== "responses" || typeof type !== "string") return;
    if (type === "response.failed") this.raise("error");
    if (type.startsWith("response.refusal.")) this.raise("filtered");
  }

  event(json: Json): void {
    this.error(json);
    const { type } = json;
    if (this.api === "anthropic" || this.api === "responses") {
      this.type(type);
      const first = this.api === "anthropic" ? "message_start" : "response.created";
      const last = this.api === "anthropic" ? ["message_stop"] : ["response.completed", "response.incomplete"];
      const whole = this.api === "responses" && isObject(json.response) && this.response(json.response);
      const reason = this.api === "anthropic" && this.ends(object(json.delta).stop_reason);
      const integer = Number.isInteger(json.index) && Number(json.index) >= 0 && Number(json.index) < 128;
      if (this.api === "anthropic" && json.index !== undefined && !integer) this.raise("unknown");
      if (this.over) this.raise("unknown");
      if (this.over || (this.api === "anthropic" && type === "ping")) return;
      if (typeof type !== "string" || this.begun === (type === first)) {
        this.raise("unknown");
        return;
      }
      this.begun = true;
      if (last.includes(type)) this.over = true;
      if (this.api === "responses") {
        if (last.includes(type)) this.reason = whole;
        return;
      }
      if (type === "message_delta") this.reason = reason;
      if (!type.startsWith("content_block_")) return;
      const index = Number(json.index);
      const state = this.open.get(index);
      if (!integer || (type === "content_block_start") !== (state === undefined) || state === false)
        this.raise("unknown");
      else if (type === "content_block_start") this.open.set(index, true);
      else if (type === "content_block_stop") this.open.set(index, false);
      return;
    }
    const count = this.api === "gemini" ? this.candidates(json.candidates) : this.choices(json.choices);
    if (this.api === "gemini") this.blocked(json);
    if (count === undefined && !(this.api === "gemini" && json.usageMetadata !== undefined)) this.raise("unknown");
    if (this.over) this.raise("unknown");
  }

  doneEvent(): void {
    const named = this.api === "anthropic" || this.api === "responses";
    if (this.done || (named && !this.over)) this.raise("unknown");
    this.done = true;
    this.over = true;
  }

  end(closed: boolean): Verdict {
    if (this.verdict !== "truncated" || !closed) return this.verdict;
    const parts = this.allEnded && (this.open.size > 0 || this.api === "anthropic");
    if (this.api === "gemini") return parts ? "whole" : "truncated";
    if (this.api === "anthropic") return this.over && this.reason && parts ? "whole" : "truncated";
    if (this.api === "responses") return this.over && this.reason ? "whole" : "truncated";
    return this.done && parts ? "whole" : "truncated";
  }
}

function parse(text: string): Json | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return isObject(value) ? value : undefined;
  } catch {
    return undefined;
  }
}

export function expected({ api, form, bytes, allowLength = true }: Answer): Expected {
  const judge = new Judge(api, form !== "document", allowLength);
  if (api === "other" || (form !== "document" && api === "embeddings")) return "unknown";
  if (form === "array" && api !== "gemini") return "unknown";
  const text = bytes.toString().replace(/^\ufeff/, "");
  if (form === "document") {
    const json = parse(text);
    return json === undefined ? "no JSON" : judge.document(json);
  }
  if (form === "array") {
    let list: unknown;
    try {
      list = JSON.parse(text);
    } catch {
      return "no JSON";
    }
    if (!Array.isArray(list) || !list.every(isObject)) return "no JSON";
    for (const element of list) judge.event(element);
    return judge.end(true);
  }
  let broken = false;
  let data: string[] = [];
  let name: string | undefined;
  let fields = 0;
  let rest = text;
  for (const [line, content = ""] of text.matchAll(/([^\r\n]*)(?:\r\n|\r|\n)/g)) {
    rest = rest.slice(line.length);
    const [, field = "", value = ""] = /^([^:]*)(?:: ?(.*))?$/s.exec(content) ?? [];
    if (content !== "") {
      if (content.startsWith(":")) continue;
      fields++;
      if (field === "data") {
        data.push(value);
        if (data.length > 1) judge.raise("unknown");
      } else if (field === "event") name = value;
      else if (field !== "id" && field !== "retry") judge.raise("unknown");
      continue;
    }
    const json = parse(data.join("\n"));
    if (name === "error") judge.raise("error");
    if (data.length === 0) {
      if (name !== undefined || (judge.over && fields > 0)) judge.raise("unknown");
    } else if (/^\[DONE\] *$/.test(data.join("\n"))) judge.doneEvent();
    else if (json === undefined) broken = true;
    else judge.event(json);
    data = [];
    name = undefined;
    fields = 0;
  }
  return broken ? "no JSON" : judge.end(fields === 0 && rest === "");
}
