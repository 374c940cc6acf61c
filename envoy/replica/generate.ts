/** One generation from parsed request to the last byte: engine tokens become a JSON answer or a stream of events. */
import { writeAnswer } from "./answer.ts";
import { fingerprint } from "./api/content.ts";
import { type Endpoint, jsonBody } from "./api/endpoint.ts";
import { ApiError } from "./api/errors.ts";
import { type AnswerContext, type ApiFormat, CREATED, type GenerationRequest, type Usage } from "./api/format.ts";
import type { ReplicaEngine } from "./engine.ts";
import type { ReplicaMetrics } from "./metrics.ts";
import type { TokenEvent } from "./model.ts";
import type { AnswerOutput } from "./output.ts";
import { blockChain } from "./prefix-cache.ts";
import { BYTES_PER_TOKEN, promptTokensOf } from "./tokens.ts";

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
  readonly prefixCache: boolean;
  nextId(): number;
}

/** The endpoint of a format: its answers come from the engine, token by token. */
export function generationEndpoint(format: ApiFormat): Endpoint {
  return {
    serves: format.serves,
    error: format.error,
    read: (call, host) => {
      const body = jsonBody(call);
      if (body instanceof ApiError) return body;
      const request = format.parse(body, call);
      if (request instanceof ApiError) return request;
      const id = `${host.name}-${fingerprint(call.body)}`;
      return { model: request.model, answer: (output) => generate(host, format, request, id, output) };
    },
  };
}

/** Starts the generation and returns; the answer is written as tokens appear. An error when the request cannot fit the context length. */
function generate(
  host: GenerationHost,
  format: ApiFormat,
  request: GenerationRequest,
  answerId: string,
  output: AnswerOutput,
): ApiError | undefined {
  const { timing } = host.engine.model;
  const prompt = Buffer.from(request.prompt);
  const promptTokens = promptTokensOf(request);
  const answer = writeAnswer({
    model: request.model,
    replica: host.name,
    question: request.question,
    images: request.images,
    tool: request.tool,
    usualTokens: host.answerTokens,
    maxTokens: request.maxTokens === undefined ? undefined : Math.min(request.maxTokens, MAX_ANSWER_TOKENS),
    exactLength: request.exactLength,
  });
  const outputTokens = answer.pieces.length;
  if (promptTokens + outputTokens > timing.maxModelTokens) {
    const message = `This model's maximum context length is ${timing.maxModelTokens} tokens; the request needs ${promptTokens + outputTokens}.`;
    return new ApiError(400, "context_length", message, "messages");
  }

  const id = host.nextId();
  const { clock } = host.engine;
  const startedAt = clock.now();
  const context: AnswerContext = {
    id: answerId,
    model: request.model,
    replica: host.name,
    created: CREATED,
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
    completionTokens: token.index + 1,
  });
  const onToken = (token: TokenEvent): void => {
    const now = clock.now();
    generated = token.index + 1;
    host.counters.tokens++;
    if (token.index === 0) host.metrics.firstToken(request.model, (now - startedAt) / 1000);
    else host.metrics.nextToken(request.model, (now - previousAt) / 1000);
    previousAt = now;
    if (request.stream) {
      const start = token.index === 0 ? format.streamStart(context, { ...usage(token), completionTokens: 0 }) : "";
      const text = start + format.streamPiece(context, answer.pieces[token.index] ?? "", token.index, usage(token));
      if (text !== "") output.write(text);
      if (token.last) output.end(format.streamEnd(context, usage(token)));
    } else if (token.last) {
      output.json(200, format.complete(context, usage(token)));
    }
    if (token.last) finish(answer.finish === "length" ? "length" : "stop");
  };

  if (request.stream) output.startStream(format.streamType ?? "text/event-stream; charset=utf-8");
  host.metrics.started(request.model);
  // A client that goes away must not keep a slot: real engines abort the sequence too.
  output.onceClosed(() => {
    if (done) return;
    host.engine.cancel(id);
    finish("abort");
  });
  const blocks = host.prefixCache
    ? blockChain(prompt, timing.blockTokens * BYTES_PER_TOKEN, request.model, timing.kvBlocks)
    : [];
  host.engine.submit({ id, promptTokens, outputTokens, blocks }, onToken);
  return undefined;
}
