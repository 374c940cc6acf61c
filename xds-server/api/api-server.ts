/**
 * The admin API as a fastify instance: routes, who may call them, errors. Nothing here listens; see listen.ts.
 *
 * Life of a request: rate of the address (429) -> who asks (401, 403) -> size and form of the body (413, 400) -> handler. Every way out is `{"error": ...}`, or a
 * Kubernetes Status under /apis and /api/v1/namespaces.
 */
import type { TLSSocket, Server as TlsServer } from "node:tls";
import swagger from "@fastify/swagger";
import type { TypeBoxTypeProvider } from "@fastify/type-provider-typebox";
import fastify, { type FastifyError, type FastifyInstance, type FastifyReply, type FastifyRequest } from "fastify";
import { ServerError } from "../errors.ts";
import type { Logger } from "../log.ts";
import { ApiError, errorBody } from "./api-error.ts";
import { type AccessRules, refusal } from "./authorization.ts";
import { Changes } from "./changes.ts";
import { statusBody } from "./kubernetes-status.ts";
import {
  KEEP_ALIVE_MS,
  MAX_BODY_BYTES,
  RATE_ADDRESSES,
  RATE_BURST,
  RATE_PER_SECOND,
  REQUEST_TIMEOUT_MS,
} from "./limits.ts";
import { openapiDocument } from "./openapi.ts";
import { type ApiPorts, StoreUnavailable } from "./ports.ts";
import { RequestRate } from "./request-rate.ts";
import { changeRoutes } from "./routes/changes.ts";
import { healthRoutes } from "./routes/health.ts";
import { kindRoutes } from "./routes/kinds.ts";
import { observationRoutes } from "./routes/observation.ts";
import { registryRoutes } from "./routes/registry.ts";
import { weightRoutes } from "./routes/weights.ts";
import { errorAnswer } from "./schemas.ts";

export interface ApiOptions extends AccessRules {
  readonly log: Logger;
  /** Of the program. */
  readonly version: string;
  /** PEM texts; plain HTTP without. */
  readonly tls?: { readonly cert: string; readonly key: string; readonly clientCa?: string } | undefined;
}

/** What routes get. */
export interface RouteContext {
  readonly ports: ApiPorts;
  readonly changes: Changes;
  readonly version: string;
  /** Whether this request may see more than that the server lives. */
  mayRead(request: FastifyRequest): boolean;
}

export type Api = FastifyInstance;
/** An instance whose handlers get the types of their schemas. */
export type TypedApi = ReturnType<typeof typed>;

const typed = (api: FastifyInstance) => api.withTypeProvider<TypeBoxTypeProvider>();

/** Paths that say no more than that the server lives, for probes that have no token. */
const OPEN_PATHS = new Set(["/healthz", "/livez", "/readyz", "/ready"]);

/** The API with all routes, not listening yet. Who may ask is looked up in the options at each request: a token may be replaced. */
export async function createApi(ports: ApiPorts, options: ApiOptions): Promise<Api> {
  const { log, tls } = options;
  const api = fastify({
    logger: false,
    bodyLimit: MAX_BODY_BYTES,
    requestTimeout: REQUEST_TIMEOUT_MS,
    keepAliveTimeout: KEEP_ALIVE_MS,
    forceCloseConnections: true,
    routerOptions: { maxParamLength: 512 },
    // A misspelled field of a body is an error, not something to drop.
    ajv: { customOptions: { removeAdditional: false, coerceTypes: false, allErrors: false } },
    ...(tls === undefined ? {} : { https: httpsOptions(tls) }),
  }) as unknown as FastifyInstance;
  // The schemas of answers are documentation, held against the answers by tests: a serializer made of them would drop what they forget.
  api.setSerializerCompiler(() => (value) => `${JSON.stringify(value, undefined, 2)}\n`);

  const rate = new RequestRate({ burst: RATE_BURST, perSecond: RATE_PER_SECOND, maxAddresses: RATE_ADDRESSES });
  const refused = (request: FastifyRequest) => refusal(callerOf(request), options);
  api.addHook("onRequest", async (request, reply) => {
    reply.header("cache-control", "no-store");
    const seconds = rate.take(request.socket.remoteAddress ?? "", ports.now());
    if (seconds > 0) throw new ApiError("TM_API_TOO_MANY", "slow down", { headers: { "retry-after": `${seconds}` } });
    if (OPEN_PATHS.has(pathOf(request))) return;
    const reason = refused(request);
    if (reason !== undefined) throw reason;
  });
  api.addHook("onResponse", async (request, reply) => {
    if (request.method === "GET" || request.method === "HEAD" || request.url.endsWith("/heartbeat")) return;
    const { method, url, socket } = request;
    log("info", "admin request", {
      method,
      path: url.slice(0, 500),
      status: reply.statusCode,
      from: socket.remoteAddress,
    });
  });
  api.setErrorHandler((error: FastifyError, request, reply) => answerError(toApiError(error, log), request, reply));
  api.setNotFoundHandler((request, reply) => {
    const allowed = ["GET", "PUT", "POST", "DELETE"].filter(
      (method) => api.findRoute({ method: method as "GET", url: pathOf(request) }) !== null,
    );
    throw allowed.length > 0
      ? notAllowed(allowed, reply)
      : new ApiError("TM_API_NOT_FOUND", `nothing is at ${pathOf(request).slice(0, 200)}`);
  });

  // Whatever clients say that they send (curl says a form), it is JSON; routes that take documents see to it themselves.
  api.removeAllContentTypeParsers();
  const parseJson = api.getDefaultJsonParser("error", "error");
  api.addContentTypeParser("*", { parseAs: "string" }, (request, body, done) => {
    if (body === "") done(null);
    else parseJson(request, body as string, done);
  });
  const context: RouteContext = {
    ports,
    changes: new Changes(ports, log),
    version: options.version,
    mayRead: (request) => refused(request) === undefined,
  };
  api.addSchema(errorAnswer);
  await api.register(swagger, openapiDocument(options.version));
  await api.register(async (scope) => {
    for (const routes of [healthRoutes, observationRoutes, changeRoutes, weightRoutes, kindRoutes, registryRoutes])
      await scope.register(async (inner) => routes(typed(inner), context));
    scope.get("/openapi.json", { schema: { hide: true } }, async () => api.swagger());
  });
  await api.ready();
  return api;
}

/** Certificates for new connections. @throws Error of node:tls when they are none; the old ones stay */
export function setCertificates({ server }: Api, tls: NonNullable<ApiOptions["tls"]>): void {
  if ("setSecureContext" in server) (server as unknown as TlsServer).setSecureContext(httpsOptions(tls));
}

function httpsOptions({ cert, key, clientCa }: NonNullable<ApiOptions["tls"]>) {
  // A client without a certificate may still have the token: who asks is decided per request.
  const clients = clientCa === undefined ? {} : { ca: clientCa, requestCert: true, rejectUnauthorized: false };
  return { cert, key, minVersion: "TLSv1.2" as const, ...clients };
}

function callerOf({ headers, socket }: FastifyRequest) {
  const { authorization, origin, host } = headers;
  const certified = "authorized" in socket && (socket as TLSSocket).authorized;
  return { authorization, origin, host, remoteAddress: socket.remoteAddress, certified };
}

function pathOf({ url }: FastifyRequest): string {
  return url.split("?", 1)[0] ?? "/";
}

function notAllowed(methods: readonly string[], reply: FastifyReply): ApiError {
  const allow = methods.includes("GET") ? ["GET", "HEAD", ...methods.filter((each) => each !== "GET")] : methods;
  reply.header("allow", allow.join(", "));
  return new ApiError("TM_API_METHOD", `this path knows ${allow.join(", ")}`);
}

const UNDER_KUBERNETES = /^\/(apis|api\/v1\/namespaces)(\/|$)/;

function answerError(error: ApiError, request: FastifyRequest, reply: FastifyReply): FastifyReply {
  const body = UNDER_KUBERNETES.test(pathOf(request))
    ? statusBody(error, (request.params ?? {}) as Record<string, string>)
    : errorBody(error);
  return reply.code(error.status).headers(error.headers).send(body);
}

/** Errors of the parts that are about what was sent. */
const CALLERS_FAULT = { TM_RECORD_INVALID: true, TM_STATE_TOO_LARGE: true, TM_WEIGHT_INVALID: true };

function toApiError(error: FastifyError | Error, log: Logger): ApiError {
  if (error instanceof ApiError) return error;
  if (error instanceof ServerError && error.code in CALLERS_FAULT) return new ApiError(error.code, error.message);
  if (error instanceof StoreUnavailable) return new ApiError("TM_STORE_UNAVAILABLE", error.message);
  const { statusCode = 500, validation } = error as FastifyError;
  if (validation !== undefined) {
    const details = validation.map(({ instancePath, message = "", params }) => {
      const name = "additionalProperty" in params ? ` ${JSON.stringify(params.additionalProperty)}` : "";
      return { field: instancePath, message: `${message}${name}` };
    });
    return new ApiError("TM_API_BAD_REQUEST", error.message.slice(0, 300), { details });
  }
  if (statusCode === 413) return new ApiError("TM_API_TOO_LARGE", "the body is too large");
  if (statusCode >= 400 && statusCode < 500) return new ApiError("TM_API_BAD_REQUEST", error.message.slice(0, 300));
  log("error", "admin request failed", { error: error.stack ?? String(error) });
  return new ApiError("TM_INTERNAL", "the request failed; see the server's log");
}
