/** What the command line asks of a server's admin API. Errors come back with the API's own code and remedy. */
import { request as httpRequest, type RequestOptions } from "node:http";
import { request as httpsRequest } from "node:https";
import { readCredential } from "../api/credentials.ts";
import { ERRORS, type ErrorCode, ServerError } from "../errors.ts";
import { MAX_ANSWER_BYTES, REQUEST_TIMEOUT_MS } from "./limits.ts";

export interface ApiClientOptions {
  /** `http(s)://host:port` of the admin API; without a scheme http. */
  readonly server: string;
  readonly token?: string | undefined;
  /** PEM file of the authority that signed the server's certificate. */
  readonly caFile?: string | undefined;
  /** PEM files of a client certificate. */
  readonly certFile?: string | undefined;
  readonly keyFile?: string | undefined;
}

export interface ApiAnswer {
  readonly status: number;
  readonly value: unknown;
}

interface Question {
  readonly method?: "GET" | "PUT" | "POST" | "DELETE";
  readonly body?: string;
  /** Longer than what the server itself waits for. */
  readonly timeoutMs?: number;
}

export class ApiClient {
  readonly #server: URL;
  readonly #options: RequestOptions;

  /** @throws ServerError TM_USAGE, TM_API_CREDENTIALS */
  constructor({ server, token, caFile, certFile, keyFile }: ApiClientOptions) {
    this.#server = serverUrl(server);
    this.#options = {
      headers: token === undefined ? {} : { authorization: `Bearer ${token}` },
      ...(caFile === undefined ? {} : { ca: readCredential(caFile) }),
      ...(certFile === undefined ? {} : { cert: readCredential(certFile) }),
      ...(keyFile === undefined ? {} : { key: readCredential(keyFile) }),
    } as RequestOptions;
  }

  /** The answer, whatever its status. @throws ServerError TM_API_UNREACHABLE */
  ask(path: string, { method = "GET", body, timeoutMs = REQUEST_TIMEOUT_MS }: Question = {}): Promise<ApiAnswer> {
    const start = this.#server.protocol === "https:" ? httpsRequest : httpRequest;
    return new Promise((resolve, reject) => {
      const fail = (why: string) =>
        reject(new ServerError("TM_API_UNREACHABLE", `the admin API at ${this.#server.origin}: ${why}`));
      const options = { ...this.#options, method, agent: false, signal: AbortSignal.timeout(timeoutMs) };
      const call = start(new URL(path, this.#server), options, (response) => {
        let text = "";
        response.setEncoding("utf8").on("data", (chunk: string) => {
          text += chunk;
          if (text.length > MAX_ANSWER_BYTES)
            call.destroy(new Error(`the answer has more than ${MAX_ANSWER_BYTES} bytes`));
        });
        response.on("end", () => resolve({ status: response.statusCode ?? 0, value: parsed(text) }));
        response.on("error", (error) => fail(error.message));
      });
      call.on("error", (error) => fail(error.name === "TimeoutError" ? `no answer in ${timeoutMs} ms` : error.message));
      call.end(body);
    });
  }

  /** The value of a good answer. @throws ApiFailure, ServerError TM_API_UNREACHABLE */
  async value(path: string, question: Question = {}): Promise<unknown> {
    const answer = await this.ask(path, question);
    if (answer.status >= 400) throw new ApiFailure(answer);
    return answer.value;
  }
}

/** One fault of an answer. */
export interface FailureDetail {
  readonly code?: string;
  readonly message: string;
  readonly remedy?: string;
  readonly file?: string;
  readonly line?: number;
  readonly column?: number;
  readonly field?: string;
  readonly node?: string;
  readonly resources?: readonly string[];
  readonly earlier?: true;
  readonly awaySince?: string;
}

/** An answer that is an error. */
export class ApiFailure extends Error {
  override readonly name = "ApiFailure";
  readonly status: number;
  readonly code: string;
  readonly details: readonly FailureDetail[];

  constructor({ status, value }: ApiAnswer) {
    const { error, message } = (value ?? {}) as {
      error?: { code?: string; message?: string; remedy?: string; details?: readonly FailureDetail[] };
      message?: string;
    };
    const { code = "", remedy = ERRORS[code as ErrorCode]?.remedy ?? "" } = error ?? {};
    super(error === undefined ? (message ?? `the server answered ${status}`) : `${code} ${error.message}; ${remedy}`);
    this.status = status;
    this.code = code;
    this.details = error?.details ?? [];
  }
}

function serverUrl(server: string): URL {
  try {
    const url = new URL(server.includes("://") ? server : `http://${server}`);
    if (url.protocol === "http:" || url.protocol === "https:") return url;
  } catch {
    // Answered below.
  }
  throw new ServerError("TM_USAGE", `${JSON.stringify(server)} is no address of an admin API`);
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return text;
  }
}
