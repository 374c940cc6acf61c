/** POST /v1/completions, the older text API: https://platform.openai.com/docs/api-reference/completions */
import { asArray, asCount, asObject, asString, type JsonObject } from "../json.ts";
import { openAiUsage } from "./chat.ts";
import { at } from "./endpoint.ts";
import { type ApiError, invalid, openAiError } from "./errors.ts";
import { type AnswerContext, type ApiFormat, type GenerationRequest, sse } from "./format.ts";

export const completionsFormat: ApiFormat = {
  serves: at("/v1/completions"),
  parse,
  complete: (context, usage) => ({
    ...envelope(context),
    choices: [choice(context.answer.pieces.join(""), context.answer.finish)],
    usage: openAiUsage(usage),
  }),
  streamStart: () => "",
  streamPiece: (context, piece) => sse({ ...envelope(context), choices: [choice(piece, null)] }),
  streamEnd: (context, usage) => {
    const end = sse({ ...envelope(context), choices: [choice("", context.answer.finish)] });
    const usageChunk = context.request.includeUsage
      ? sse({ ...envelope(context), choices: [], usage: openAiUsage(usage) })
      : "";
    return `${end}${usageChunk}${sse("[DONE]")}`;
  },
  error: openAiError,
};

function parse(body: JsonObject): GenerationRequest | ApiError {
  const model = asString(body.model);
  if (model === undefined) return invalid("you must provide a model parameter", "model");
  const prompt = asString(body.prompt) ?? asArray(body.prompt)?.join("\n");
  if (prompt === undefined) return invalid("'prompt' must be a string or an array", "prompt");
  return {
    model,
    stream: body.stream === true,
    includeUsage: asObject(body.stream_options)?.include_usage === true,
    prompt,
    question: prompt,
    toolAnswered: false,
    images: 0,
    tool: undefined,
    maxTokens: asCount(body.max_tokens),
    exactLength: body.ignore_eos === true,
  };
}

function envelope({ id, created, model, replica }: AnswerContext): JsonObject {
  return { id: `cmpl-${id}`, object: "text_completion", created, model, system_fingerprint: replica };
}

function choice(text: string, finish: string | null): unknown {
  return { index: 0, text, logprobs: null, finish_reason: finish };
}
