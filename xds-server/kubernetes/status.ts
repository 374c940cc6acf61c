/** What the API server answers instead of what was asked for: `Status` objects, in answers and as ERROR events. */
import type { IncomingMessage } from "node:http";
import { ApiError } from "./api-error.ts";
import { MAX_MESSAGE_LENGTH, MAX_RETRY_AFTER_MS } from "./limits.ts";

/** Of an answer with an error status. Anything may have sent it, such as a proxy with a page of its own. */
export function statusError({ statusCode = 0, headers }: IncomingMessage, text: string, path: string): ApiError {
  let status: unknown;
  try {
    status = JSON.parse(text);
  } catch {
    status = undefined;
  }
  const { message, reason, retryAfterMs } = readStatus(status);
  const told = message === "" ? `status ${statusCode}` : `status ${statusCode}: ${message}`;
  return fault(`${path}: ${told}`, statusCode, reason, Math.max(retryAfterMs, retryAfter(headers["retry-after"])));
}

/** Of an ERROR event of a watch. */
export function eventError(object: unknown, path: string): ApiError {
  const { code, message, reason, retryAfterMs } = readStatus(object);
  return fault(`watch of ${path}: ${message || reason || `status ${code}`}`, code, reason, retryAfterMs);
}

function fault(message: string, status: number, reason: string, retryAfterMs: number): ApiError {
  return new ApiError("status", message, { status, reason, retryAfterMs: Math.min(retryAfterMs, MAX_RETRY_AFTER_MS) });
}

function readStatus(status: unknown) {
  const { code, message, reason, details } = (status ?? {}) as Readonly<Record<string, unknown>>;
  const { retryAfterSeconds } = (details ?? {}) as Readonly<Record<string, unknown>>;
  return {
    code: typeof code === "number" ? code : 0,
    message: plain(message, MAX_MESSAGE_LENGTH),
    reason: plain(reason, 64),
    retryAfterMs: seconds(retryAfterSeconds),
  };
}

/** For a line of the log. */
function plain(text: unknown, length: number): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is taken out
  return typeof text === "string" ? text.slice(0, length).replace(/[\u0000-\u001f\u007f]+/g, " ") : "";
}

/** Retry-After as seconds; a date, which the API server never sends, does not count. */
function retryAfter(header: string | undefined): number {
  return header !== undefined && /^\d{1,6}$/.test(header) ? seconds(Number(header)) : 0;
}

function seconds(value: unknown): number {
  return typeof value === "number" && value > 0 ? value * 1_000 : 0;
}
