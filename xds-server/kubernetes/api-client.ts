/**
 * Questions to an API server over HTTP/1.1, each bounded in time and bytes. Plain node:http: the client of @kubernetes/client-node reads bodies of any size, and its watch
 * skips lines that it cannot read.
 */
import { type ClientRequest, Agent as HttpAgent, type IncomingMessage, request as plainRequest } from "node:http";
import { Agent as HttpsAgent, request as tlsRequest } from "node:https";
import { ApiError } from "./api-error.ts";
import type { Cluster } from "./cluster.ts";
import { Deadline } from "./deadline.ts";
import { ANSWER_TIMEOUT_MS, KEEP_ALIVE_MS, MAX_ERROR_BYTES, MAX_OBJECT_BYTES, MAX_PAGE_BYTES } from "./limits.ts";
import { LineSplitter } from "./line-splitter.ts";
import { statusError } from "./status.ts";

export type Query = Readonly<Record<string, string | number | boolean | undefined>>;

export interface CallOptions {
  readonly query?: Query;
  /** Sent as JSON. */
  readonly body?: unknown;
  /** Media type that is asked for. */
  readonly accept?: string;
  readonly signal?: AbortSignal;
}

export interface WatchOptions extends Omit<CallOptions, "body"> {
  /** The server has accepted; lines may follow. */
  opened(): void;
  /** One event, without its newline. What it throws ends the watch and is the reason. */
  line(text: string): void;
  /** All lines that have come so far have been told. */
  paused(): void;
  /** A watch that lasts longer is broken off, ms. */
  readonly maxMs: number;
}

/** Connections that wait for the next request. More than a few at a time happen at the start only. */
const IDLE_CONNECTIONS = 4;

export class ApiClient {
  readonly #cluster: Cluster;
  readonly #secure: boolean;
  /** Of reading calls. A change over a connection that the server closes at that moment may have happened or not: changes have connections of their own. */
  readonly #kept: HttpAgent;
  readonly #fresh: HttpAgent;
  readonly #timeoutMs: number;
  readonly #underWay = new Set<Deadline>();
  #closed = false;

  constructor(cluster: Cluster, timeoutMs = ANSWER_TIMEOUT_MS) {
    this.#cluster = cluster;
    this.#secure = cluster.server.startsWith("https:");
    const Agent = this.#secure ? HttpsAgent : HttpAgent;
    this.#kept = new Agent({ keepAlive: true, maxFreeSockets: IDLE_CONNECTIONS });
    this.#fresh = new Agent({ keepAlive: false });
    this.#timeoutMs = timeoutMs;
  }

  /** The answer of a request, read as JSON. @throws ApiError */
  async call(method: "GET" | "POST" | "PUT" | "DELETE", path: string, options: CallOptions = {}): Promise<unknown> {
    const deadline = this.#begin(options.signal);
    const { signal } = deadline;
    try {
      for (let attempt = 0; ; attempt++) {
        let sent: ClientRequest | undefined;
        try {
          const response = await this.#send(method, path, { ...options, signal }, (call) => {
            sent = call;
          });
          const text = await body(response, path, isGood(response) ? MAX_PAGE_BYTES : MAX_ERROR_BYTES);
          if (!isGood(response)) throw statusError(response, text, path);
          return json(text, path);
        } catch (error) {
          // An idle connection that the server had closed already: the question never arrived.
          const stale = method === "GET" && sent?.reusedSocket && !(error instanceof ApiError) && !signal.aborted;
          if (!stale || attempt >= IDLE_CONNECTIONS) throw error;
        }
      }
    } catch (error) {
      if (deadline.expired)
        throw new ApiError("timeout", `no whole answer to ${method} ${path} within ${this.#timeoutMs} ms`);
      throw connectionError(error, path);
    } finally {
      deadline.end();
      this.#underWay.delete(deadline);
    }
  }

  /** Asks for events and tells them until the server ends the answer in order; then resolves. @throws ApiError for everything else, such as `signal` */
  async watch(path: string, options: WatchOptions): Promise<void> {
    const deadline = this.#begin(options.signal);
    try {
      const response = await this.#send("GET", path, { ...options, signal: deadline.signal });
      if (!isGood(response)) throw statusError(response, await body(response, path, MAX_ERROR_BYTES), path);
      deadline.extend(options.maxMs);
      options.opened();
      const splitter = new LineSplitter(MAX_OBJECT_BYTES, path);
      for await (const chunk of response) {
        for (const line of splitter.push(chunk as Buffer)) options.line(line);
        options.paused();
      }
      if (!splitter.empty) throw new ApiError("unreachable", `the watch of ${path} ended within an event`);
    } catch (error) {
      if (deadline.expired)
        throw new ApiError("timeout", `the watch of ${path} was not answered, or not ended, in time`);
      throw connectionError(error, path);
    } finally {
      deadline.end();
      this.#underWay.delete(deadline);
    }
  }

  /** Ends what is under way, and all connections. */
  close(): void {
    this.#closed = true;
    for (const deadline of this.#underWay) deadline.end();
    this.#kept.destroy();
    this.#fresh.destroy();
  }

  #begin(signal: AbortSignal | undefined): Deadline {
    if (this.#closed) throw new ApiError("unreachable", "the connection to the API server is closed");
    const deadline = new Deadline(signal, this.#timeoutMs);
    this.#underWay.add(deadline);
    return deadline;
  }

  async #send(
    method: string,
    path: string,
    { query = {}, body, accept = "application/json", signal }: CallOptions,
    sent: (call: ClientRequest) => void = () => {},
  ): Promise<IncomingMessage> {
    const { headers, tls, agent } = await this.#cluster.credentials();
    signal?.throwIfAborted();
    const url = new URL(this.#cluster.server + path);
    for (const [name, value] of Object.entries(query)) if (value !== undefined) url.searchParams.set(name, `${value}`);
    const payload = body === undefined ? undefined : Buffer.from(JSON.stringify(body));
    const sender = this.#secure ? tlsRequest : plainRequest;
    return new Promise((resolve, reject) => {
      const call = sender(url, {
        ...tls,
        method,
        agent: agent ?? (method === "GET" ? this.#kept : this.#fresh),
        ...(signal && { signal }),
        headers: {
          ...headers,
          accept,
          "user-agent": "tokenmesh",
          ...(payload && { "content-type": "application/json", "content-length": payload.length }),
        },
      });
      sent(call);
      call.on("socket", (socket) => socket.setKeepAlive(true, KEEP_ALIVE_MS));
      call.on("response", resolve);
      call.on("error", reject);
      call.end(payload);
    });
  }
}

function isGood({ statusCode = 0 }: IncomingMessage): boolean {
  return statusCode >= 200 && statusCode < 300;
}

async function body(response: IncomingMessage, path: string, max: number): Promise<string> {
  const parts: Buffer[] = [];
  let bytes = 0;
  for await (const part of response as AsyncIterable<Buffer>) {
    bytes += part.length;
    if (bytes > max) throw new ApiError("too_large", `the answer of ${path} has more than ${max} bytes`);
    parts.push(part);
  }
  return Buffer.concat(parts).toString("utf8");
}

function json(text: string, path: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw new ApiError("malformed", `the answer of ${path} is no JSON`);
  }
}

function connectionError(error: unknown, path: string): ApiError {
  if (error instanceof ApiError) return error;
  const { code, message = String(error) } = error as NodeJS.ErrnoException;
  // Node's message of a refused connection may be empty where a name has several addresses.
  return new ApiError("unreachable", `${path}: ${message || code || "no connection"}`);
}
