/** Failures that a test asks a replica for, one request after the other, and how each looks from outside. */
import type { ServerResponse } from "node:http";
import { ApiError } from "./api/errors.ts";
import type { JsonObject } from "./json.ts";
import { AnswerOutput } from "./output.ts";
import type { OpenRequest } from "./request-log.ts";

/** A failure of one request. All of them come after the request's body has been read. */
export type RequestFailure =
  /** A complete answer. Without a body it is the error object of the API that was called; a text is sent as `text/plain` unless a header says otherwise. */
  | {
      readonly kind: "status";
      readonly status: number;
      readonly headers?: Readonly<Record<string, string>>;
      readonly body?: string | JsonObject;
    }
  /** The connection is reset (RST) before any byte of an answer. */
  | { readonly kind: "reset" }
  /** No byte of an answer, ever. */
  | { readonly kind: "hang" }
  /** Status 200 and the headers of an event stream, then nothing. */
  | { readonly kind: "headersThenStall" }
  /** The real answer, until the connection ends after so many events of a stream, or after half of the body of any other answer. */
  | { readonly kind: "breakMidStream"; readonly afterEvents: number };

/** `refuse` is a state, not an answer: nobody listens on the port until `recover()`. */
export type Failure = RequestFailure | { readonly kind: "refuse" };

/** First in, first out; what is to happen `always` stays in front until the script is cleared. */
export class FailureScript {
  private readonly steps: { readonly failure: RequestFailure; left: number }[] = [];

  add(failure: RequestFailure, times: number | "always"): void {
    const left = times === "always" ? Number.POSITIVE_INFINITY : times;
    if (left !== Number.POSITIVE_INFINITY && (!Number.isInteger(left) || left < 1)) {
      throw new RangeError(`times must be a whole number >= 1 or "always", not ${times}`);
    }
    this.steps.push({ failure, left });
  }

  /** The failure of the request that is handled now; undefined when it is to be answered. */
  next(): RequestFailure | undefined {
    const step = this.steps[0];
    if (step === undefined) return undefined;
    if (--step.left === 0) this.steps.shift();
    return step.failure;
  }

  clear(): void {
    this.steps.length = 0;
  }
}

/** Fails the request, or returns the output that a real answer is to be written to. `error` makes the error object of the API. */
export function fail(
  failure: RequestFailure | undefined,
  request: OpenRequest,
  response: ServerResponse,
  error: (error: ApiError) => unknown,
): AnswerOutput | undefined {
  switch (failure?.kind) {
    case undefined:
      return new AnswerOutput(response);
    case "status": {
      const { status, headers = {}, body } = failure;
      const value = body ?? error(new ApiError(status, "scripted", `scripted failure ${status}`));
      const isText = typeof value === "string";
      for (const [name, text] of Object.entries(headers)) response.setHeader(name, text);
      const type = response.getHeader("content-type") ?? (isText ? "text/plain" : "application/json");
      new AnswerOutput(response).whole(status, String(type), Buffer.from(isText ? value : JSON.stringify(value)));
      return undefined;
    }
    case "reset":
      request.breakOff();
      response.socket?.resetAndDestroy();
      return undefined;
    case "hang":
      return undefined;
    case "headersThenStall":
      new AnswerOutput(response).startStream("text/event-stream; charset=utf-8");
      return undefined;
    case "breakMidStream":
      return new AnswerOutput(response, { afterEvents: failure.afterEvents, onBreak: () => request.breakOff() });
  }
}
