/** The HTTP face of a replica: a model server that speaks the OpenAI and Anthropic APIs over node:http. */
import {
  createServer,
  type IncomingHttpHeaders,
  type IncomingMessage,
  type Server,
  type ServerResponse,
} from "node:http";
import type { AddressInfo } from "node:net";
import { chatFormat } from "./api/chat.ts";
import { completionsFormat } from "./api/completions.ts";
import { EMBEDDINGS_PATH, embeddingsAnswer, parseEmbeddings } from "./api/embeddings.ts";
import { type ApiError, type ApiFormat, isApiError, openAiError } from "./api/format.ts";
import { messagesFormat } from "./api/messages.ts";
import { responsesFormat } from "./api/responses.ts";
import { MAX_BODY_BYTES, readBody } from "./body.ts";
import { type Clock, ReplicaEngine, realClock } from "./engine.ts";
import { countTokens, type GenerationHost, generate, type ReplicaCounters, sendJson } from "./generate.ts";
import { asObject, type JsonObject, parseJson } from "./json.ts";
import { createMetrics } from "./metrics.ts";
import { type ReplicaTiming, TIMING_PROFILES, type TimingProfile } from "./timing.ts";

export interface ReplicaOptions {
  /** Sent back in `x-replica` and in every answer. */
  readonly name: string;
  /** Models it serves; every other one is answered with 404. */
  readonly models: readonly string[];
  /** 0 (default) takes a free port. */
  readonly port?: number;
  /** Default 127.0.0.1. */
  readonly host?: string;
  /** A profile or own numbers; default `instant`. */
  readonly timing?: TimingProfile | ReplicaTiming;
  /** Length of an answer that no limit cuts, tokens; default 24. */
  readonly answerTokens?: number;
  /** How many recent requests `requests` keeps, with bodies; default 64. */
  readonly keepRequests?: number;
  readonly clock?: Clock;
}

export interface ReplicaRequest {
  readonly method: string;
  /** Path with query. */
  readonly path: string;
  readonly headers: IncomingHttpHeaders;
  /** Names and values alternating, spelled as received. */
  readonly rawHeaders: readonly string[];
  readonly body: Buffer;
}

export interface ReplicaStats extends Readonly<ReplicaCounters> {
  readonly running: number;
  readonly waiting: number;
  readonly kvUsage: number;
}

export interface Replica {
  readonly name: string;
  readonly models: readonly string[];
  readonly port: number;
  /** `http://host:port` */
  readonly url: string;
  /** The last `keepRequests` requests, oldest first, except GET /health and GET /metrics. */
  readonly requests: readonly ReplicaRequest[];
  stats(): ReplicaStats;
  /** Forgets the recorded requests. */
  clearRequests(): void;
  /** Stops listening and cuts open connections. */
  close(): Promise<void>;
}

const FORMATS = new Map([chatFormat, completionsFormat, messagesFormat, responsesFormat].map((f) => [f.path, f]));
/** Bytes of request bodies that `requests` keeps alive at most. */
const KEPT_BODY_BYTES = 64 * 1024 * 1024;

/** Starts a replica and resolves when it listens. Rejects when the port is taken. */
export async function startReplica(options: ReplicaOptions): Promise<Replica> {
  const { name, models, host = "127.0.0.1", timing = "instant", keepRequests = 64 } = options;
  const engine = new ReplicaEngine(
    typeof timing === "string" ? TIMING_PROFILES[timing] : timing,
    options.clock ?? realClock,
  );
  const counters: ReplicaCounters = { served: 0, aborted: 0, tokens: 0 };
  let lastId = 0;
  const generationHost: GenerationHost = {
    name,
    engine,
    metrics: createMetrics(engine.model, models),
    counters,
    answerTokens: options.answerTokens ?? 24,
    nextId: () => ++lastId,
  };
  const requests: ReplicaRequest[] = [];
  const record = (request: ReplicaRequest): void => {
    requests.push(request);
    while (requests.length > keepRequests) requests.shift();
    let bytes = 0;
    for (let i = requests.length - 1; i >= 0; i--) {
      bytes += requests[i]?.body.length ?? 0;
      if (bytes <= KEPT_BODY_BYTES) continue;
      requests.splice(0, i + 1);
      break;
    }
  };

  const server = createServer((request, response) => {
    response.setHeader("x-replica", name);
    handle(generationHost, models, request, response, record).catch((error: unknown) => {
      if (response.destroyed) return; // the client went away while it sent its body
      if (response.headersSent) response.destroy();
      else
        sendJson(response, 500, { error: { message: String(error), type: "server_error", param: null, code: null } });
    });
  });
  // A proxy keeps connections for long; if the replica closed an idle one first, a request in flight on it would fail.
  server.keepAliveTimeout = 0;
  server.requestTimeout = 0;
  await listen(server, options.port ?? 0, host);
  const { port } = server.address() as AddressInfo;

  return {
    name,
    models,
    port,
    url: `http://${host}:${port}`,
    requests,
    stats: () => ({
      ...counters,
      running: engine.model.running,
      waiting: engine.model.waiting,
      kvUsage: engine.model.kvUsage,
    }),
    clearRequests: () => requests.splice(0),
    close: () => {
      engine.stop();
      return new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      });
    },
  };
}

function listen(server: Server, port: number, host: string): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen(port, host, () => {
      server.off("error", reject);
      resolve();
    });
  });
}

async function handle(
  host: GenerationHost,
  models: readonly string[],
  request: IncomingMessage,
  response: ServerResponse,
  record: (request: ReplicaRequest) => void,
): Promise<void> {
  const { method = "GET", url: path = "/", headers, rawHeaders } = request;
  const route = path.split("?", 1)[0] ?? "/";
  if (method === "GET" && route === "/health") {
    response.end();
    return;
  }
  if (method === "GET" && route === "/metrics") {
    response.setHeader("content-type", host.metrics.contentType);
    response.end(await host.metrics.text());
    return;
  }
  const body = await readBody(request, MAX_BODY_BYTES);
  record({ method, path, headers, rawHeaders, body: body ?? Buffer.alloc(0) });

  const format = method === "POST" ? FORMATS.get(route) : undefined;
  if (body === undefined) {
    const message = `the body is longer than ${MAX_BODY_BYTES} bytes`;
    sendError(response, format, { status: 413, code: "body_too_large", message });
  } else if (format !== undefined || (method === "POST" && route === EMBEDDINGS_PATH)) {
    const error = answerModelRequest(host, models, format, body, response);
    if (error !== undefined) sendError(response, format, error);
  } else if (method === "GET" && route === "/v1/models") {
    sendJson(response, 200, { object: "list", data: models.map(modelObject) });
  } else if (method === "GET" && route.startsWith("/v1/models/")) {
    const id = decodeURIComponent(route.slice("/v1/models/".length));
    if (models.includes(id)) sendJson(response, 200, modelObject(id));
    else sendError(response, format, unknownModel(id));
  } else if (route === "/echo" || route.startsWith("/echo/")) {
    // Gives every byte back, for tests of paths that are not about models.
    response.writeHead(200, {
      "content-type": headers["content-type"] ?? "application/octet-stream",
      "content-length": body.length,
      "x-echo-method": method,
      "x-echo-path": path,
    });
    response.end(method === "HEAD" ? undefined : body);
  } else {
    sendError(response, format, {
      status: 404,
      code: "not_found",
      message: `no ${method} ${route} on a model replica`,
    });
  }
}

function answerModelRequest(
  host: GenerationHost,
  models: readonly string[],
  format: ApiFormat | undefined,
  body: Buffer,
  response: ServerResponse,
): ApiError | undefined {
  const json = asObject(parseJson(body.toString("utf8")));
  if (json === undefined) return { status: 400, code: "invalid_json", message: "the body is not a JSON object" };
  if (format === undefined) return answerEmbeddings(models, json, response);
  const generation = format.parse(json);
  if (isApiError(generation)) return generation;
  if (!models.includes(generation.model)) return unknownModel(generation.model);
  return generate(host, format, generation, response);
}

function answerEmbeddings(models: readonly string[], json: JsonObject, response: ServerResponse): ApiError | undefined {
  const request = parseEmbeddings(json);
  if ("status" in request) return request;
  if (!models.includes(request.model)) return unknownModel(request.model);
  sendJson(response, 200, embeddingsAnswer(request, request.model, countTokens(Buffer.from(request.inputs.join("")))));
  return undefined;
}

function unknownModel(model: string): ApiError {
  const message = `The model \`${model}\` does not exist or you do not have access to it.`;
  return { status: 404, code: "model_not_found", message, param: "model" };
}

function modelObject(id: string): unknown {
  return { id, object: "model", created: 0, owned_by: "tokenmesh" };
}

function sendError(response: ServerResponse, format: ApiFormat | undefined, error: ApiError): void {
  sendJson(response, error.status, (format?.error ?? openAiError)(error));
}
