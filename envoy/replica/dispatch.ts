/** From an HTTP request to the endpoint that answers it: the routes of a replica, and the order in which a request is read, failed and answered. */
import type { IncomingMessage, ServerResponse } from "node:http";
import { audioEndpoints } from "./api/audio.ts";
import { chatFormat } from "./api/chat.ts";
import { completionsFormat } from "./api/completions.ts";
import { embeddingsEndpoint } from "./api/embeddings.ts";
import { type Call, decodeSegment, type Endpoint } from "./api/endpoint.ts";
import { ApiError, openAiError, unknownModel } from "./api/errors.ts";
import { geminiArrayFormat, geminiFormat } from "./api/gemini.ts";
import { imageEndpoints } from "./api/images.ts";
import { countTokensEndpoint, messagesFormat } from "./api/messages.ts";
import { responsesFormat } from "./api/responses.ts";
import { BodyReader, MAX_BODY_BYTES } from "./body.ts";
import { type FailureScript, fail } from "./failures.ts";
import { type GenerationHost, generationEndpoint } from "./generate.ts";
import type { AnswerOutput } from "./output.ts";
import type { RequestLog } from "./request-log.ts";

/** What the handling of one request needs to know about its replica. */
export interface ReplicaParts {
  readonly host: GenerationHost;
  readonly models: readonly string[];
  readonly log: RequestLog;
  readonly failures: FailureScript;
}

const FORMATS = [chatFormat, completionsFormat, messagesFormat, responsesFormat, geminiFormat, geminiArrayFormat];
const ENDPOINTS: readonly Endpoint[] = [
  ...FORMATS.map(generationEndpoint),
  countTokensEndpoint,
  embeddingsEndpoint,
  ...audioEndpoints,
  ...imageEndpoints,
];

/** Rejects when the peer goes away while it sends its body. */
export async function dispatch(parts: ReplicaParts, message: IncomingMessage, response: ServerResponse): Promise<void> {
  const { method = "GET", url: path = "/" } = message;
  const [route = "/", query] = path.split("?", 2);
  if (method === "GET" && route === "/health") return void response.end();
  if (method === "GET" && route === "/metrics") {
    response.setHeader("content-type", parts.host.metrics.contentType);
    return void response.end(await parts.host.metrics.text());
  }
  const reader = new BodyReader(message, MAX_BODY_BYTES);
  await reader.read().catch((error: unknown) => {
    parts.log.add(message, response, reader.bytes()); // what has arrived
    throw error;
  });
  const record = parts.log.add(message, response, reader.bytes());
  const contentType = message.headers["content-type"] ?? "";
  const call: Call = { route, query: new URLSearchParams(query), contentType, body: record.body };
  const endpoint = method === "POST" ? ENDPOINTS.find((one) => one.serves(call)) : undefined;
  const error = endpoint?.error ?? openAiError;

  const read = reader.overflowed ? undefined : await endpoint?.read(call, parts.host);
  if (read !== undefined && !(read instanceof ApiError)) record.model = read.model;
  const output = fail(parts.failures.next(), record, response, error);
  if (output === undefined) return;

  let refused: ApiError | undefined;
  if (reader.overflowed) {
    refused = new ApiError(413, "body_too_large", `the body is longer than ${MAX_BODY_BYTES} bytes`);
  } else if (read === undefined) {
    refused = answerOther(parts, call, message, output);
  } else if (read instanceof ApiError) {
    refused = read;
  } else {
    refused = parts.models.includes(read.model) ? read.answer(output) : unknownModel(read.model);
  }
  if (refused !== undefined) output.json(refused.status, error(refused));
}

/** Everything that is not a POST about a model. */
function answerOther(
  { models }: ReplicaParts,
  { route, contentType, body }: Call,
  { method = "GET", url = "/" }: IncomingMessage,
  output: AnswerOutput,
): ApiError | undefined {
  if (method === "GET" && route === "/v1/models") {
    output.json(200, { object: "list", data: models.map(modelObject) });
    return undefined;
  }
  if (method === "GET" && route.startsWith("/v1/models/")) {
    const id = decodeSegment(route.slice("/v1/models/".length)) ?? "";
    if (!models.includes(id)) return unknownModel(id);
    output.json(200, modelObject(id));
    return undefined;
  }
  if (route === "/echo" || route.startsWith("/echo/")) {
    // Gives every byte back, for tests of paths that are not about models.
    output.header("x-echo-method", method);
    output.header("x-echo-path", url);
    output.whole(200, contentType === "" ? "application/octet-stream" : contentType, body);
    return undefined;
  }
  return new ApiError(404, "not_found", `no ${method} ${route} on a model replica`);
}

function modelObject(id: string): unknown {
  return { id, object: "model", created: 0, owned_by: "tokenmesh" };
}
