/** One generation from parsed request to the last byte: engine tokens become a JSON answer or a stream of events. */
import type { ServerResponse } from "node:http";
import { writeAnswer } from "./answer.ts";
import type { AnswerContext, ApiError, ApiFormat, GenerationRequest, Usage } from "./api/format.ts";
import type { ReplicaEngine } from "./engine.ts";
import type { ReplicaMetrics } from "./metrics.ts";
import type { TokenEvent } from "./model.ts";
import { blockChain } from "./prefix-cache.ts";

/** Rough size of a token: good enough to make usage and prefill time follow the prompt. */
const BYTES_PER_TOKEN = 4;
/** Longest answer a client can ask for: the pieces are prepared in advance, so their number is bounded. */
const MAX_ANSWER_TOKENS = 65_536;

export interface ReplicaCounters {
  served: number;
  aborted: number;
  tokens: number;
}

export interface GenerationHost {
  readonly name: string;
  readonly engine: ReplicaEngine;
  readonly metrics: ReplicaMetrics;
  readonly counters: ReplicaCounters;
  /** Length of an answer without a limit, tokens. */
  readonly answerTokens: number;
  nextId(): number;
}

export function countTokens(text: Uint8Array): number {
  return Math.max(1, Math.ceil(text.length / BYTES_PER_TOKEN));
}

/** Starts the generation and returns; the answer is written as tokens appear. An error when the request cannot fit the context length. */
export function generate(
  host: GenerationHost,
  format: ApiFormat,
  request: GenerationRequest,
  response: ServerResponse,
): ApiError | undefined {
  const { timing } = host.engine.model;
  const prompt = Buffer.from(request.prompt);
  const promptTokens = countTokens(prompt);
  const answer = writeAnswer({
    model: request.model,
    replica: host.name,
    question: request.question,
    tool: request.tool,
    usualTokens: host.answerTokens,
    maxTokens: request.maxTokens === undefined ? undefined : Math.min(request.maxTokens, MAX_ANSWER_TOKENS),
    exactLength: request.exactLength,
  });
  const outputTokens = answer.pieces.length;
  if (promptTokens + outputTokens > timing.maxModelTokens) {
    const message = `This model's maximum context length is ${timing.maxModelTokens} tokens; the request needs ${promptTokens + outputTokens}.`;
    return { status: 400, code: "context_length", message, param: "messages" };
  }

  const id = host.nextId();
  const { clock } = host.engine;
  const startedAt = clock.now();
  const context: AnswerContext = {
    id: `${host.name}-${id}`,
    model: request.model,
    replica: host.name,
    created: Math.floor(Date.now() / 1000),
    answer,
    request,
  };
  let done = false;
  let generated = 0;
  let previousAt = startedAt;

  const finish = (reason: "stop" | "length" | "abort"): void => {
    done = true;
    if (reason === "abort") host.counters.aborted++;
    else host.counters.served++;
    const e2eSeconds = (clock.now() - startedAt) / 1000;
    host.metrics.finished({
      model: request.model,
      promptTokens,
      completionTokens: generated,
      finish: reason,
      e2eSeconds,
    });
  };
  const usage = (token: TokenEvent): Usage => ({
    promptTokens,
    cachedTokens: token.cachedTokens,
    completionTokens: token.index === 0 && !token.last ? 0 : token.index + 1,
  });
  const onToken = (token: TokenEvent): void => {
    const now = clock.now();
    generated = token.index + 1;
    host.counters.tokens++;
    if (token.index === 0) host.metrics.firstToken(request.model, (now - startedAt) / 1000);
    else host.metrics.nextToken(request.model, (now - previousAt) / 1000);
    previousAt = now;
    if (request.stream) {
      const start = token.index === 0 ? format.streamStart(context, usage(token)) : "";
      const piece = format.streamPiece(context, answer.pieces[token.index] ?? "", token.index);
      if (token.last) response.end(`${start}${piece}${format.streamEnd(context, usage(token))}`);
      else response.write(`${start}${piece}`);
    } else if (token.last) {
      sendJson(response, 200, format.complete(context, usage(token)));
    }
    if (token.last) finish(answer.finish === "length" ? "length" : "stop");
  };

  if (request.stream) {
    response.writeHead(200, { "content-type": "text/event-stream; charset=utf-8", "cache-control": "no-cache" });
    response.flushHeaders();
  }
  host.metrics.started(request.model);
  // A client that goes away must not keep a slot: real engines abort the sequence too.
  response.once("close", () => {
    if (done) return;
    host.engine.cancel(id);
    finish("abort");
  });
  const blocks = blockChain(prompt, timing.blockTokens * BYTES_PER_TOKEN, request.model, timing.kvBlocks);
  host.engine.submit({ id, promptTokens, outputTokens, blocks }, onToken);
  return undefined;
}

export function sendJson(response: ServerResponse, status: number, value: unknown): void {
  const text = Buffer.from(JSON.stringify(value));
  response.writeHead(status, { "content-type": "application/json", "content-length": text.length });
  response.end(text);
}
