/** Errors of a replica as values, and the error objects of the three vendors. */

/** Ours, and what OpenAI puts into `code`. */
const OPENAI_CODES = {
  invalid_json: "invalid_json",
  invalid_multipart: "invalid_multipart",
  invalid_request: "invalid_request",
  model_not_found: "model_not_found",
  not_found: "not_found",
  body_too_large: "body_too_large",
  context_length: "context_length_exceeded",
  scripted: "scripted_failure",
} as const;

const ANTHROPIC_TYPES: Readonly<Record<number, string>> = {
  400: "invalid_request_error",
  401: "authentication_error",
  403: "permission_error",
  404: "not_found_error",
  413: "request_too_large",
  429: "rate_limit_error",
  529: "overloaded_error",
};

const GOOGLE_STATUSES: Readonly<Record<number, string>> = {
  400: "INVALID_ARGUMENT",
  401: "UNAUTHENTICATED",
  403: "PERMISSION_DENIED",
  404: "NOT_FOUND",
  413: "INVALID_ARGUMENT",
  429: "RESOURCE_EXHAUSTED",
  500: "INTERNAL",
  503: "UNAVAILABLE",
  504: "DEADLINE_EXCEEDED",
};

/** A value that is returned, never thrown. A class, so that no body of a client can be taken for one. */
export class ApiError {
  constructor(
    readonly status: number,
    readonly code: keyof typeof OPENAI_CODES,
    readonly message: string,
    /** The field that is wrong. */
    readonly param?: string,
  ) {}
}

export function invalid(message: string, param: string): ApiError {
  return new ApiError(400, "invalid_request", message, param);
}

export function unknownModel(model: string): ApiError {
  const message = `The model \`${model}\` does not exist or you do not have access to it.`;
  return new ApiError(404, "model_not_found", message, "model");
}

/** https://platform.openai.com/docs/guides/error-codes */
export function openAiError({ status, code, message, param }: ApiError): unknown {
  const type = status === 429 ? "rate_limit_error" : status >= 500 ? "server_error" : "invalid_request_error";
  return { error: { message, type, param: param ?? null, code: OPENAI_CODES[code] } };
}

/** https://docs.anthropic.com/en/api/errors */
export function anthropicError({ status, message }: ApiError): unknown {
  return { type: "error", error: { type: ANTHROPIC_TYPES[status] ?? "api_error", message } };
}

/** https://cloud.google.com/apis/design/errors */
export function googleError({ status, message }: ApiError): unknown {
  return { error: { code: status, message, status: GOOGLE_STATUSES[status] ?? "UNKNOWN" } };
}
