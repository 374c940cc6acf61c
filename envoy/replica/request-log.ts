/** What a replica remembers of its recent requests, bounded in number and in bytes. */
import type { IncomingHttpHeaders, IncomingMessage, ServerResponse } from "node:http";

/**
 * - `open`: not answered yet, or not completely.
 * - `completed`: the last byte of the answer has been handed to the operating system.
 * - `broken`: the replica ended the connection on purpose (a scripted failure).
 * - `peer-gone`: the connection ended before the answer did, and not by the replica.
 */
export type RequestOutcome = "open" | "completed" | "broken" | "peer-gone";

/** A request as it came. `model`, `status` and `outcome` fill in while it is handled. */
export interface ReplicaRequest {
  readonly method: string;
  /** Path with query. */
  readonly path: string;
  /** The `host` header. */
  readonly authority: string;
  /** Names in lower case. */
  readonly headers: IncomingHttpHeaders;
  /** Names and values alternating, spelled as received. */
  readonly rawHeaders: readonly string[];
  /** Empty when it was over the limit; what had arrived when the peer went away before its end. */
  readonly body: Buffer;
  /** From the body or, for Gemini, from the path; undefined when there is none. */
  readonly model: string | undefined;
  /** Of the answer; undefined until its headers are sent. */
  readonly status: number | undefined;
  readonly outcome: RequestOutcome;
}

/** The side of the log that handles a request. */
export interface OpenRequest extends ReplicaRequest {
  model: string | undefined;
  /** The replica is about to end the connection. */
  breakOff(): void;
}

/** Bytes of bodies that a log keeps alive at most. */
const KEPT_BODY_BYTES = 64 * 1024 * 1024;

export class RequestLog {
  /** Oldest first. */
  readonly requests: ReplicaRequest[] = [];

  constructor(private readonly keep: number) {}

  /** Records a request whose body has been read (or will not be read further). */
  add(message: IncomingMessage, response: ServerResponse, body: Buffer): OpenRequest {
    const { method = "GET", url: path = "/", headers, rawHeaders } = message;
    let outcome: RequestOutcome = "open";
    const settle = (how: RequestOutcome): void => {
      if (outcome === "open") outcome = how;
    };
    if (response.destroyed) settle("peer-gone");
    response.once("finish", () => settle("completed"));
    response.once("close", () => settle("peer-gone"));
    const request: OpenRequest = {
      method,
      path,
      authority: headers.host ?? "",
      headers,
      rawHeaders,
      body,
      model: undefined,
      get status() {
        return response.headersSent ? response.statusCode : undefined;
      },
      get outcome() {
        return outcome;
      },
      breakOff: () => settle("broken"),
    };
    this.requests.push(request);
    this.trim();
    return request;
  }

  clear(): void {
    this.requests.length = 0;
  }

  private trim(): void {
    while (this.requests.length > this.keep) this.requests.shift();
    let bytes = 0;
    for (let i = this.requests.length - 1; i >= 0; i--) {
      bytes += this.requests[i]?.body.length ?? 0;
      if (bytes <= KEPT_BODY_BYTES) continue;
      this.requests.splice(0, i + 1);
      break;
    }
  }
}
