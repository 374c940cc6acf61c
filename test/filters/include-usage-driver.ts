/** Streams of OpenAI's APIs through the limiter: what the upstream is asked, and what the client gets. */
import type { Stream } from "../host/index.ts";
import { LimitHost, type LimitOptions } from "./rate-limit-driver.ts";

export const AMOUNT = 100_000;
export const limits = (more: object = {}) => ({
  rules: [{ name: "team", limits: [{ unit: "tokens", amount: AMOUNT, per: "minute" }], ...more }],
});
export const gatewayWasm: LimitOptions = { wasm: "build/filters/llm-gateway.wasm", rootId: "llm-gateway" };

export const call = { model: "m", messages: [{ role: "user", content: "hello" }], max_tokens: 10 };

export const event = (value: unknown): string => `data: ${JSON.stringify(value)}\n\n`;
/** As OpenAI sends it while usage was asked for. */
export const token = event({ id: "c", choices: [{ index: 0, delta: { content: "a" } }], usage: null });
export const counts = { prompt_tokens: 7, completion_tokens: 5, total_tokens: 12 };
export const usage = event({ id: "c", object: "chat.completion.chunk", choices: [], usage: counts });
export const done = "data: [DONE]\n\n";

export const streamHeaders: [string, string][] = [
  [":status", "200"],
  ["content-type", "text/event-stream; charset=utf-8"],
  ["date", "d"],
  ["server", "s"],
  ["via", "v"],
  ["age", "0"],
];

/** The answer in those pieces; it ends with an empty one. */
export function stream(request: Stream, pieces: readonly (Uint8Array | string)[], headers = streamHeaders): Stream {
  request.responseHeaders(headers);
  for (const piece of pieces) request.responseBody(piece, {});
  return request.responseBody("", { endOfStream: true });
}

export const asked = (request: Stream): unknown => JSON.parse(request.upstream.text);

export function start(config: object = limits(), options?: LimitOptions): Promise<LimitHost> {
  return LimitHost.start(config, options);
}

/** Tokens left of the budget of a rule without a key, in front of what the asking reserves. */
export function left(gateway: LimitHost): number {
  const probe = gateway.ask({ ...call, messages: [], max_tokens: 1 });
  gateway.answer(probe, { input: 0, output: 0 });
  return Number(probe.downstream.headers?.get("x-ratelimit-remaining-tokens")) + 1;
}

export const hostcalls = (request: Stream): string[] =>
  request.trace.map(({ name, during }) => `${during.replace("proxy_on_", "")}: ${name.replace("proxy_", "")}`);
