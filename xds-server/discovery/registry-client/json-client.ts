/**
 * JSON over HTTP from registries that nobody vouches for: every answer is bounded in bytes and time, redirects are not followed (a token must not travel to where an answer points),
 * and compressed bodies are not asked for (nothing to blow up).
 *
 * Over node:http and not fetch: its connections belong to this client alone, so closing it leaves none behind.
 */
import { Agent, type IncomingMessage, request as requestPlain } from "node:http";
import { request as requestTls, Agent as TlsAgent } from "node:https";
import type { Clock } from "../clock.ts";
import { DiscoveryError } from "../errors.ts";
import { MAX_ANSWER_BYTES } from "../limits.ts";

export interface JsonQuestion {
  /** Query parameters and path; origin and base path come from `base`. */
  readonly url: URL;
  readonly headers?: Readonly<Record<string, string>>;
  /** From the question to the last byte of the answer, ms. */
  readonly timeoutMs: number;
  readonly signal?: AbortSignal;
}

export interface JsonAnswer {
  readonly status: number;
  /** Of a header by its lower-case name, the first value. */
  header(name: string): string | undefined;
  /** The parsed body; undefined unless the status is 200. */
  readonly body: unknown;
  /** Start of the body of any other status, for people: one line of at most 200 characters. */
  readonly text: string;
}

export interface JsonClientOptions {
  /** Bytes of one answer. */
  readonly maxBytes?: number;
  /** PEM of those who certify servers, in place of those that Node trusts by itself. */
  readonly authorities?: string | undefined;
}

/** Characters of an error's body that go into messages. */
const SHOWN_CHARACTERS = 200;
/** Bytes of an error's body that are read for them. */
const MAX_ERROR_BYTES = 16 * 1024;

export class JsonClient {
  readonly #clock: Clock;
  readonly #maxBytes: number;
  readonly #plain = new Agent({ keepAlive: true });
  readonly #tls: TlsAgent;

  constructor(clock: Clock, { maxBytes = MAX_ANSWER_BYTES, authorities }: JsonClientOptions = {}) {
    this.#clock = clock;
    this.#maxBytes = maxBytes;
    this.#tls = new TlsAgent({ keepAlive: true, ...(authorities !== undefined && { ca: authorities }) });
  }

  /**
   * @throws DiscoveryError TM_DISCOVERY_UNREACHABLE, _TIMEOUT, _TOO_LARGE or _MALFORMED; a status other than 200 is an answer.
   * After `signal` has fired the error is any of these and means nothing.
   */
  async get(question: JsonQuestion): Promise<JsonAnswer> {
    try {
      return await this.#get(question);
    } catch (error) {
      // The server may have closed a connection that was kept, just when it was used again: not a failure of the server.
      if (!(error instanceof StaleConnection)) throw error;
      return this.#get(question);
    }
  }

  #get({ url, headers = {}, timeoutMs, signal }: JsonQuestion): Promise<JsonAnswer> {
    return new Promise((resolve, reject) => {
      const tls = url.protocol === "https:";
      const agent = tls ? this.#tls : this.#plain;
      const options = { agent, headers: { accept: "application/json", "accept-encoding": "identity", ...headers } };
      let stopTimer = () => {};
      const settle = (action: () => void) => {
        stopTimer();
        signal?.removeEventListener("abort", abort);
        action();
      };
      const fail = (error: DiscoveryError) => {
        settle(() => reject(error));
        sent.destroy();
      };
      const abort = () => fail(new DiscoveryError("TM_DISCOVERY_UNREACHABLE", `the question to ${url.host} was ended`));
      const sent = (tls ? requestTls : requestPlain)(url, options, (incoming) => {
        this.#read(incoming, url).then((answer) => settle(() => resolve(answer)), fail);
      });
      sent.on("error", (error: NodeJS.ErrnoException) => {
        const stale = sent.reusedSocket && (error.code === "ECONNRESET" || error.code === "EPIPE");
        fail(
          stale
            ? new StaleConnection("TM_DISCOVERY_UNREACHABLE", `${url.host}: ${error.code}`)
            : unreachable(url, error),
        );
      });
      stopTimer = this.#clock.after(timeoutMs, () =>
        fail(new DiscoveryError("TM_DISCOVERY_TIMEOUT", `${url.host} did not answer within ${timeoutMs} ms`)),
      );
      if (signal?.aborted) abort();
      else signal?.addEventListener("abort", abort, { once: true });
      sent.end();
    });
  }

  /** Ends all connections, those that wait for answers too. */
  close(): void {
    this.#plain.destroy();
    this.#tls.destroy();
  }

  async #read(incoming: IncomingMessage, url: URL): Promise<JsonAnswer> {
    const status = incoming.statusCode ?? 0;
    const good = status === 200;
    const bytes = await bodyOf(incoming, url, good ? this.#maxBytes : MAX_ERROR_BYTES, good);
    const header = (name: string) => {
      const value = incoming.headers[name];
      return Array.isArray(value) ? value[0] : value;
    };
    if (!good) return { status, header, body: undefined, text: shown(bytes.toString("utf8")) };
    try {
      return { status, header, body: JSON.parse(bytes.toString("utf8")), text: "" };
    } catch {
      throw new DiscoveryError("TM_DISCOVERY_MALFORMED", `${url.host} answers ${url.pathname} with what is not JSON`);
    }
  }
}

class StaleConnection extends DiscoveryError {}

/** @param strict false cuts what is too long instead */
async function bodyOf(incoming: IncomingMessage, url: URL, maxBytes: number, strict: boolean): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let length = 0;
  try {
    for await (const chunk of incoming as AsyncIterable<Buffer>) {
      length += chunk.length;
      chunks.push(chunk);
      if (length <= maxBytes) continue;
      if (!strict) break;
      throw new DiscoveryError("TM_DISCOVERY_TOO_LARGE", `${url.host} answers with more than ${maxBytes} bytes`);
    }
  } catch (error) {
    throw error instanceof DiscoveryError ? error : unreachable(url, error as NodeJS.ErrnoException);
  }
  return Buffer.concat(chunks);
}

function unreachable(url: URL, { code, message }: NodeJS.ErrnoException): DiscoveryError {
  return new DiscoveryError("TM_DISCOVERY_UNREACHABLE", `${url.host}: ${shown(code ?? message)}`);
}

function shown(text: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is replaced
  const line = text.replace(/[\u0000-\u001f\u007f]+/g, " ").trim();
  return line.slice(0, SHOWN_CHARACTERS);
}

/**
 * What a status other than 200 means.
 * @param what asked for, for the message
 */
export function refusal(url: URL, { status, text }: JsonAnswer, what: string): DiscoveryError {
  const code = status === 401 || status === 403 ? "TM_DISCOVERY_DENIED" : "TM_DISCOVERY_FAILED";
  return new DiscoveryError(code, `${url.host} answers ${what} with ${status}${text === "" ? "" : `: ${text}`}`);
}
