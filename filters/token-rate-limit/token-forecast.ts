/** How many tokens a request will take, before it runs; and what it took, when its answer did not say. */
import { AnswerSize } from "../lib/answer-size";
import { addSaturating } from "../lib/fixed-point";
import { JsonField, JsonKind } from "../lib/json-scanner";
import { Api } from "../lib/llm-api";
import { RequestField } from "../lib/request-field";
import { TokenCounts } from "../lib/token-charge";
import { TokenLearner } from "../lib/token-learner";
import { Exchange, ModelPlace } from "../pipeline/exchange";
import { upstreamTimeout } from "../pipeline/refusal";
import { Bytes } from "../sdk";

const COUNT_TOKENS = Bytes.literal("/count_tokens");
const path = new Bytes();

/** More tokens than this no model writes; a client that asks for more has not set a limit. */
const MOST_COMPLETION: f64 = 1e9;

@final
export class TokenForecast {
  /** What `estimate` found. `promptBytes` are those of the text, 0 when it was not told from the rest of the body: then there is nothing to learn from. */
  promptBytes: u32 = 0;
  prompt: i64 = 0;
  completion: i64 = 0;

  private readonly learner: TokenLearner;
  private readonly answers: AnswerSize = new AnswerSize();

  constructor(readonly tokensPerByte: f64) {
    this.learner = new TokenLearner(tokensPerByte);
  }

  /** Of a request whose body was read, while `exchange.chat` is there. */
  estimate(exchange: Exchange): void {
    const bytes = promptBytes(exchange);
    const model = exchange.model;
    this.promptBytes = exchange.chat === null ? 0 : bytes;
    this.learner.estimate(model.ptr, model.len, bytes, declaredCompletion(exchange));
    this.prompt = this.learner.prompt;
    this.completion = this.learner.completion;
  }

  /** Tokens of the answer so far: those that were reported, and those of the bytes that came since. */
  soFar(exchange: Exchange): i64 {
    const more = this.answers.tokens(exchange.api, exchange.streaming, exchange.uncountedBytes);
    return addSaturating(max(exchange.usage.outputTotal, 0), more);
  }

  /**
   * Fills `counts` with what a request took that was estimated at `prompt` tokens from `bytes`, and learns from it.
   *
   *   usage was reported, and not as 0 and 0,    that
   *   and the answer is whole
   *   never sent on, or Envoy did not reach      nothing
   *   the upstream with it
   *   a whole answer of status 400 or more       nothing: providers do not charge for errors
   *   Envoy's own timeout                        the prompt: it was worked on
   *   a whole answer without usage, or one       the prompt, or what was reported of it; and what was reported of the answer, and the bytes that
   *   that was broken off                        came behind that by what a token of such answers takes
   */
  settle(exchange: Exchange, counts: TokenCounts, prompt: i64, bytes: u32): void {
    const usage = exchange.usage;
    if (!exchange.routed) {
      counts.set(0, 0, 0, 0, 0);
    } else if (exchange.answered && (usage.inputTotal > 0 || usage.outputTotal > 0)) {
      // Some gateways report 0 and 0 when they do not know.
      const model = exchange.model;
      counts.set(usage.inputTotal, usage.cached, usage.cacheWrite, usage.outputTotal, usage.reasoning);
      this.learner.learn(model.ptr, model.len, bytes, usage.inputTotal, usage.outputTotal);
      this.answers.learn(exchange.api, exchange.streaming, exchange.answerBytes, usage.outputTotal);
    } else if (exchange.ownAnswer !== null) {
      counts.set(exchange.ownAnswer === upstreamTimeout ? prompt : 0, 0, 0, 0, 0);
    } else if (exchange.endStatus >= 400) {
      counts.set(0, 0, 0, 0, 0);
    } else {
      // The first events of Anthropic's streams report the prompt and next to nothing of the answer.
      const input = usage.inputTotal > 0 ? usage.inputTotal : prompt;
      counts.set(input, usage.cached, usage.cacheWrite, this.soFar(exchange), usage.reasoning);
    }
  }
}

/** Text of messages, system prompt and tools. A form has files, whose size says nothing of tokens; of a body that was not read, all may be prompt. */
function promptBytes(exchange: Exchange): u32 {
  const chat = exchange.chat;
  if (chat === null) return exchange.modelPlace == ModelPlace.Form ? 0 : exchange.bodySize;
  return chat.promptBytes + rawBytes(chat.fields[RequestField.Tools]) + rawBytes(chat.fields[RequestField.Functions]);
}

function rawBytes(field: JsonField): u32 {
  return field.kind == JsonKind.Absent ? 0 : field.end - field.start;
}

/** The largest output limit that the request names, for each of the answers that it wants; -1 for none. */
function declaredCompletion(exchange: Exchange): i64 {
  if (exchange.api == Api.Embeddings || countsOnly(exchange)) return 0;
  const chat = exchange.chat;
  if (chat === null) return -1;
  let most: f64 = -1;
  for (let field = RequestField.MaxTokens; field <= RequestField.MaxOutputTokens; field++) {
    const declared = chat.number(field);
    if (declared > most) most = declared;
  }
  if (!(most >= 0 && most <= MOST_COMPLETION)) return -1;
  const choices = chat.number(RequestField.Choices);
  return <i64>ceil(most * (choices >= 1 && choices <= 1024 ? choices : 1));
}

/** Anthropic's call that counts a prompt and answers nothing else. */
function countsOnly(exchange: Exchange): bool {
  path.set(exchange.path.view().ptr, exchange.pathEnd);
  return path.endsWith(COUNT_TOKENS);
}

/** What a VM has learned outlives configurations: one forecast for each beginning that they name. */
const forecasts: TokenForecast[] = [];

export function forecastOf(tokensPerByte: f64): TokenForecast {
  for (let i = 0; i < forecasts.length; i++) if (forecasts[i].tokensPerByte == tokensPerByte) return forecasts[i];
  const forecast = new TokenForecast(tokensPerByte);
  // Nobody tries more beginnings than this.
  if (forecasts.length < 8) forecasts.push(forecast);
  return forecast;
}
