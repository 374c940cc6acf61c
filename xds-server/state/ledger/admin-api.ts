/**
 * The ledger's HTTP API for operators and Prometheus: `GET /ready`, `/metrics`, `/budgets`, `/budget`, `/usage`, and `POST /budget`, which changes one.
 * Loopback by default. With a token, everything but `/ready` and `/metrics` asks for it.
 */
import { createHash, timingSafeEqual } from "node:crypto";
import type { IncomingMessage, ServerResponse } from "node:http";
import { ServerError } from "../../errors.ts";
import { splitAddress } from "../../grpc/index.ts";
import type { Logger } from "../../log.ts";
import { type HttpServer, startHttpServer } from "../../server/http-server.ts";
import { type BudgetAdmin, parseChange } from "./budget-admin.ts";
import { PERIODS } from "./calendar.ts";
import { LEDGER_ERRORS, LedgerError } from "./errors.ts";
import type { Entry } from "./protocol.ts";
import { StoreError } from "./store.ts";

const MAX_BODY_BYTES = 64 * 1024;
const MAX_WHO_LENGTH = 128;

export interface AdminContext {
  readonly admin: BudgetAdmin;
  readonly ready: () => boolean;
  readonly metrics: () => Promise<{ readonly contentType: string; readonly body: string }>;
  /** Bearer token; without one, whoever reaches the address may change budgets. */
  readonly token: string | undefined;
  readonly log: Logger;
}

interface Answer {
  readonly status: number;
  readonly contentType: string;
  readonly body: string;
}

type Handler = (request: IncomingMessage, query: URLSearchParams, context: AdminContext) => Promise<Answer>;

const json = (status: number, value: unknown): Answer => ({
  status,
  contentType: "application/json",
  body: `${JSON.stringify(value, undefined, 2)}\n`,
});

const ROUTES: Readonly<Record<string, Partial<Record<string, Handler>>>> = {
  "/ready": {
    GET: async (_request, _query, { ready }) => json(ready() ? 200 : 503, { ready: ready() }),
  },
  "/metrics": {
    GET: async (_request, _query, { metrics }) => ({ status: 200, ...(await metrics()) }),
  },
  "/budgets": {
    GET: async (_request, query, { admin }) => json(200, { budgets: await admin.list(domainOf(query)) }),
  },
  "/budget": {
    GET: async (_request, query, { admin }) => json(200, await admin.show(addressOf(query))),
    POST: async (request, _query, { admin }) => {
      const { address, change } = parseChange(await readJson(request));
      return json(200, await admin.change(address, change, whoOf(request), request.socket.remoteAddress ?? ""));
    },
  },
  "/usage": {
    GET: async (_request, query, { admin }) => {
      const day = query.get("day") ?? undefined;
      if (day !== undefined && !/^\d{4}-\d\d-\d\d$/.test(day))
        throw new LedgerError("invalid_body", "day is YYYY-MM-DD");
      return json(200, { usage: await admin.usage(domainOf(query), day, entriesOf(query)) });
    },
  },
};

const OPEN_PATHS = new Set(["/ready", "/metrics"]);

const LOOPBACK = /^(127\.\d+\.\d+\.\d+|localhost|\[::1\])$/;

/** @throws ServerError TM_LISTEN_FAILED, TM_USAGE (also for an address beyond loopback without a token) */
export async function startLedgerAdmin(address: string, context: AdminContext): Promise<HttpServer> {
  const { host } = splitAddress(address);
  if (context.token === undefined && !LOOPBACK.test(host)) {
    throw new ServerError("TM_USAGE", `the admin API listens on ${host} only with a token (TOKENMESH_LEDGER_TOKEN)`);
  }
  return startHttpServer(address, (request, response) => {
    handle(request, context)
      .catch((error: unknown) => failure(error, request, context.log))
      .then((answer) => send(request, response, answer));
  });
}

async function handle(request: IncomingMessage, context: AdminContext): Promise<Answer> {
  const url = new URL(request.url ?? "/", "http://ledger");
  const methods = Object.hasOwn(ROUTES, url.pathname) ? ROUTES[url.pathname] : undefined;
  if (methods === undefined)
    throw new LedgerError("not_found", `no such path; paths: ${Object.keys(ROUTES).join(" ")}`);
  if (!OPEN_PATHS.has(url.pathname)) {
    // A page in the operator's browser reaches loopback too, with an Origin, or under a name of its own that resolves to it.
    const host = (request.headers.host ?? "").replace(/:\d+$/, "");
    const foreign = context.token === undefined && !LOOPBACK.test(host);
    if (foreign || request.headers.origin !== undefined)
      throw new LedgerError("cross_site", "requests of browsers are refused");
    if (!authorized(request, context.token)) throw new LedgerError("unauthorized", "the token is missing or wrong");
  }
  const method = request.method === "HEAD" ? "GET" : (request.method ?? "");
  const handler = Object.hasOwn(methods, method) ? methods[method] : undefined;
  if (handler === undefined) {
    throw new LedgerError("method_not_allowed", `allowed: ${Object.keys(methods).join(", ")}`);
  }
  return handler(request, url.searchParams, context);
}

/** Compared as hashes, in constant time: the length of the token does not show either. */
function authorized({ headers }: IncomingMessage, token: string | undefined): boolean {
  if (token === undefined) return true;
  const given = /^Bearer (.+)$/i.exec(headers.authorization ?? "")?.[1] ?? "";
  const hash = (text: string) => createHash("sha256").update(text).digest();
  return timingSafeEqual(hash(given), hash(token));
}

function domainOf(query: URLSearchParams): string {
  const domain = query.get("domain");
  if (domain === null) throw new LedgerError("invalid_body", "the query has no domain");
  return domain;
}

/** `entry=key=value&entry=...` */
function entriesOf(query: URLSearchParams): Entry[] {
  return query.getAll("entry").map((text) => {
    const cut = text.indexOf("=");
    if (cut < 1) throw new LedgerError("invalid_body", "entry is key=value");
    return { key: text.slice(0, cut), value: text.slice(cut + 1) };
  });
}

/** `?domain=d&entry=key=value&entry=...&per=day`. */
function addressOf(query: URLSearchParams) {
  const per = query.get("per");
  const period = PERIODS.find((each) => each === per);
  if (per !== null && period === undefined)
    throw new LedgerError("invalid_body", `per is one of ${PERIODS.join(", ")}`);
  return { domain: domainOf(query), entries: entriesOf(query), ...(period === undefined ? {} : { per: period }) };
}

/** Who the caller says to be: for the audit log, which also has the address. */
function whoOf({ headers }: IncomingMessage): string {
  const who = headers["x-tokenmesh-who"];
  return typeof who === "string" && who !== "" ? who.slice(0, MAX_WHO_LENGTH) : "unknown";
}

async function readJson(request: IncomingMessage): Promise<unknown> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    size += chunk.length;
    if (size > MAX_BODY_BYTES)
      throw new LedgerError("body_too_large", `the body has more than ${MAX_BODY_BYTES} bytes`);
    chunks.push(chunk);
  }
  try {
    return JSON.parse(Buffer.concat(chunks).toString("utf8")) as unknown;
  } catch {
    throw new LedgerError("invalid_body", "the body is no JSON");
  }
}

function failure(error: unknown, request: IncomingMessage, log: Logger): Answer {
  if (error instanceof StoreError) return failure(new LedgerError("store_unavailable", error.message), request, log);
  if (!(error instanceof LedgerError)) {
    log("error", "admin request failed", { path: request.url?.slice(0, 200), error: String(error) });
    return json(500, { error: { code: "internal", message: "internal error; see the ledger's log" } });
  }
  const { status, remedy } = LEDGER_ERRORS[error.code];
  return json(status, { error: { code: error.code, message: error.message, remedy } });
}

function send(request: IncomingMessage, response: ServerResponse, { status, contentType, body }: Answer): void {
  // What is left of a body that nobody wants is not waited for.
  if (!request.readableEnded && request.method === "POST") response.setHeader("connection", "close");
  response.writeHead(status, {
    "content-type": contentType,
    "content-length": Buffer.byteLength(body),
    "cache-control": "no-store",
  });
  response.end(request.method === "HEAD" ? undefined : body);
}
