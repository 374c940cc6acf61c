/** Calls to Consul's HTTP API, bounded in bytes and time. Over node:http and not fetch: its connections are this client's own, and end with it. */
import { Agent, type IncomingMessage, request as requestPlain } from "node:http";
import { request as requestTls, Agent as TlsAgent } from "node:https";
import { StoreError } from "../store-error.ts";
import { MAX_CONSUL_ANSWER_BYTES } from "./limits.ts";

export interface ConsulCall {
  readonly method: "GET" | "PUT";
  /** Below the address, with its query. */
  readonly path: string;
  readonly body?: string;
  readonly timeoutMs: number;
}

export interface ConsulAnswer {
  readonly status: number;
  /** X-Consul-Index; 0 without one. */
  readonly index: number;
  readonly text: string;
}

/** Characters of an answer that go into messages. */
const SHOWN_CHARACTERS = 200;

export class ConsulHttp {
  readonly #base: string;
  readonly #token: () => string;
  readonly #request: typeof requestPlain;
  readonly #agent: Agent;
  #closed = false;

  /** @param base http://host:port, or https @param token asked for before every call; "" for none */
  constructor(base: string, token: () => string) {
    this.#base = base.replace(/\/+$/, "");
    this.#token = token;
    const tls = base.startsWith("https:");
    this.#request = tls ? requestTls : requestPlain;
    this.#agent = tls ? new TlsAgent({ keepAlive: true }) : new Agent({ keepAlive: true });
  }

  /** @param signal ends it @throws StoreError `unavailable`, also for answers of 5xx; other statuses are answers */
  call({ method, path, body, timeoutMs }: ConsulCall, signal?: AbortSignal): Promise<ConsulAnswer> {
    return new Promise((resolve, reject) => {
      if (this.#closed) throw new StoreError("unavailable", "the store is closed");
      const token = this.#token();
      const headers = { ...(token !== "" && { "x-consul-token": token }), "accept-encoding": "identity" };
      const sent = this.#request(`${this.#base}${path}`, {
        method,
        agent: this.#agent,
        headers,
        ...(signal && { signal }),
      });
      const timer = setTimeout(() => sent.destroy(new Error(`no answer in ${timeoutMs} ms`)), timeoutMs);
      const fail = (error: Error) => {
        clearTimeout(timer);
        sent.destroy();
        reject(
          error instanceof StoreError
            ? error
            : new StoreError("unavailable", `Consul: ${error.message}`, { cause: error }),
        );
      };
      sent.on("error", fail);
      sent.on("response", (incoming) => {
        read(incoming).then((answer) => {
          clearTimeout(timer);
          if (answer.status < 500) resolve(answer);
          else fail(new StoreError("unavailable", `Consul answers ${answer.status}: ${shown(answer.text)}`));
        }, fail);
      });
      sent.end(body);
    });
  }

  close(): void {
    this.#closed = true;
    this.#agent.destroy();
  }
}

async function read(incoming: IncomingMessage): Promise<ConsulAnswer> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of incoming as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    if (bytes > MAX_CONSUL_ANSWER_BYTES)
      throw new StoreError("failed", `Consul answers with more than ${MAX_CONSUL_ANSWER_BYTES} bytes`);
    chunks.push(chunk);
  }
  const header = String(incoming.headers["x-consul-index"] ?? "");
  const index = /^\d{1,15}$/.test(header) ? Number(header) : 0;
  return { status: incoming.statusCode ?? 0, index, text: Buffer.concat(chunks).toString("utf8") };
}

/** One line of it. */
export const shown = (text: string): string =>
  text
    .replace(/\p{Cc}+/gu, " ")
    .trim()
    .slice(0, SHOWN_CHARACTERS);
