/**
 * Error answers in the shape of the API that was called, with stable codes (docs/errors.md lists them one to one).
 *
 *   OpenAI     {"error":{"message":"...","type":"invalid_request_error","param":"model","code":"model_not_found"}}
 *   Anthropic  {"type":"error","error":{"type":"not_found_error","message":"..."}}
 *   Gemini     {"error":{"code":404,"message":"...","status":"NOT_FOUND"}}
 */
import { Api } from "../lib/llm-api";
import { Bytes, ByteWriter, PairsWriter, Status, stream } from "../sdk";

@final
export class Refusal {
  readonly code: Bytes;
  readonly details: Bytes;
  readonly message: Bytes;
  readonly param: Bytes;
  readonly openaiType: Bytes;
  readonly anthropicType: Bytes;
  readonly geminiStatus: Bytes;

  constructor(
    readonly status: i32,
    code: string,
    message: string,
    param: string,
    anthropicType: string,
  ) {
    this.code = Bytes.literal(code);
    this.details = Bytes.literal("tokenmesh_" + code);
    this.message = Bytes.literal(message);
    this.param = Bytes.literal(param);
    this.openaiType = Bytes.literal(status >= 500 ? "server_error" : status == 429 ? "rate_limit_error" : "invalid_request_error");
    this.anthropicType = Bytes.literal(anthropicType);
    this.geminiStatus = Bytes.literal(geminiStatusOf(status));
  }

  /** Sends the answer; `subject` is shown behind the message when it is not empty. */
  send(api: Api, subject: Bytes): Status {
    return stream.respond(this.status, this.details, this.write(api, subject), answerHeaders);
  }

  /** As `send`, with these headers. */
  sendWith(api: Api, subject: Bytes, more: PairsWriter): Status {
    return stream.respond(this.status, this.details, this.write(api, subject), more.add(CONTENT_TYPE, JSON));
  }

  /** The body of the answer, valid until the next one is written. */
  write(api: Api, subject: Bytes): Bytes {
    body.reset();
    if (api == Api.GeminiGenerate) {
      body.text('{"error":{"code":').decimal(this.status).text(',"message":"');
      this.sentence(subject);
      body.text('","status":"').bytes(this.geminiStatus).text('"}}');
    } else if (api == Api.AnthropicMessages) {
      body.text('{"type":"error","error":{"type":"').bytes(this.anthropicType).text('","message":"');
      this.sentence(subject);
      body.text('"}}');
    } else {
      body.text('{"error":{"message":"');
      this.sentence(subject);
      body.text('","type":"').bytes(this.openaiType).text('","param":');
      if (this.param.len == 0) body.text("null");
      else body.byte(0x22).bytes(this.param).byte(0x22);
      body.text(',"code":"').bytes(this.code).text('"}}');
    }
    return body.view();
  }

  private sentence(subject: Bytes): void {
    body.bytes(this.message);
    if (subject.len > 0) body.text(": '").jsonAscii(subject).text("'");
  }
}

/** Names of google.rpc.Code. */
function geminiStatusOf(status: i32): string {
  if (status == 401) return "UNAUTHENTICATED";
  if (status == 429) return "RESOURCE_EXHAUSTED";
  if (status == 503) return "UNAVAILABLE";
  if (status == 504) return "DEADLINE_EXCEEDED";
  return status >= 500 ? "INTERNAL" : status == 404 ? "NOT_FOUND" : "INVALID_ARGUMENT";
}

const body = new ByteWriter();
const CONTENT_TYPE = Bytes.literal("content-type");
const JSON = Bytes.literal("application/json");
const answerHeaders = new PairsWriter().add(CONTENT_TYPE, JSON);

export const modelRequired = new Refusal(
  400,
  "model_required",
  "The request body must be a JSON object with a string 'model'",
  "model",
  "invalid_request_error",
);
export const modelNotFound = new Refusal(404, "model_not_found", "No route is configured for this model", "model", "not_found_error");
export const invalidJson = new Refusal(400, "invalid_json", "The request body is not a JSON object", "", "invalid_request_error");
export const invalidForm = new Refusal(400, "invalid_form", "The request body is not a multipart form", "", "invalid_request_error");
export const invalidUtf8 = new Refusal(400, "invalid_utf8", "The request body is not UTF-8", "", "invalid_request_error");
export const ambiguousModel = new Refusal(
  400,
  "ambiguous_model",
  "The request body names 'model' more than once",
  "model",
  "invalid_request_error",
);
export const ambiguousType = new Refusal(
  400,
  "ambiguous_content_type",
  "The request has more than one content-type",
  "",
  "invalid_request_error",
);
export const unsupportedEncoding = new Refusal(
  415,
  "unsupported_encoding",
  "The request body is compressed; send it without content-encoding",
  "",
  "invalid_request_error",
);
export const pathTooLong = new Refusal(414, "path_too_long", "The path is longer than 4096 bytes", "", "invalid_request_error");
export const bodyTooLarge = new Refusal(413, "body_too_large", "The request body is larger than the gateway accepts", "", "request_too_large");
export const bodyUnreadable = new Refusal(
  500,
  "body_unreadable",
  "The gateway cannot read request bodies: allow_on_headers_stop_iteration is missing in its Envoy configuration",
  "",
  "api_error",
);

export const targetUnknown = new Refusal(
  500,
  "target_unknown",
  "The endpoint that was picked does not say which target it belongs to: filter metadata tokenmesh.target is missing",
  "",
  "api_error",
);
export const attemptPlanMissing = new Refusal(
  500,
  "attempt_plan_missing",
  "The attempt filter does not share the VM of the router: both need the same module, vm_id and VM configuration",
  "",
  "api_error",
);

/** Answers of token-rate-limit. */
export const rateLimited = new Refusal(429, "rate_limit_exceeded", "Rate limit reached; try again later", "", "rate_limit_error");
export const rateLimitUnavailable = new Refusal(
  503,
  "rate_limit_unavailable",
  "The service that keeps the budgets cannot be asked; try again later",
  "",
  "overloaded_error",
);
export const keyRequired = new Refusal(401, "key_required", "The request does not say whose budget it is", "", "authentication_error");

/** Answers of prompt-cache. */
export const notCached = new Refusal(504, "not_cached", "The request wants a stored answer only, and there is none", "", "timeout_error");

/** Answers of hash-ring. */
export const noEndpoint = new Refusal(503, "no_endpoint", "No endpoint may take this request", "", "overloaded_error");
export const poolSaturated = new Refusal(429, "pool_saturated", "The model servers are busy and this request may wait; try again later", "", "rate_limit_error");

/** What Envoy itself answers in the place of an upstream: see local-reply.ts. */
export const noHealthyUpstream = new Refusal(503, "no_healthy_upstream", "No endpoint for this model can take requests", "", "overloaded_error");
export const clusterUnknown = new Refusal(503, "cluster_unknown", "The gateway does not know the cluster of this model's target", "", "api_error");
export const routeUnknown = new Refusal(404, "route_unknown", "The gateway has no route for this model's target", "", "not_found_error");
export const upstreamOverloaded = new Refusal(503, "upstream_overloaded", "Too many requests wait for this model's target", "", "overloaded_error");
export const upstreamUnreachable = new Refusal(503, "upstream_unreachable", "The model's server cannot be reached, or broke off", "", "api_error");
export const upstreamProtocolError = new Refusal(502, "upstream_protocol_error", "The model's server sent no valid HTTP", "", "api_error");
export const upstreamTimeout = new Refusal(504, "upstream_timeout", "The model's server did not answer in time", "", "timeout_error");
