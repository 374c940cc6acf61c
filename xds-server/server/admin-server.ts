/**
 * The admin API: `GET /ready`, `/metrics` (Prometheus), `/snapshot` (what is served, and what each Envoy has) and others, and `POST` for what changes something. Plain
 * HTTP for loopback or a private network; who may change what is the handler's matter.
 */
import type { IncomingMessage, ServerResponse } from "node:http";
import type { Logger } from "../log.ts";
import { type HttpServer, startHttpServer } from "./http-server.ts";

export interface AdminAnswer {
  readonly status: number;
  readonly contentType: string;
  readonly body: string;
}

/** Handlers of GET by path; they may be slow (metrics are collected), never throw on user input. */
export type AdminRoutes = Readonly<Record<string, () => AdminAnswer | Promise<AdminAnswer>>>;

/** Handlers of POST by path, which read the request's body. */
export type AdminChanges = Readonly<Record<string, (request: IncomingMessage) => Promise<AdminAnswer>>>;

export function json(status: number, value: unknown): AdminAnswer {
  return { status, contentType: "application/json", body: `${JSON.stringify(value, undefined, 2)}\n` };
}

/** @throws ServerError TM_LISTEN_FAILED, TM_USAGE */
export function startAdminServer(
  address: string,
  routes: AdminRoutes,
  log: Logger,
  changes: AdminChanges = {},
): Promise<HttpServer> {
  return startHttpServer(address, (request, response) => {
    answer(request, response, routes, changes).catch((error: unknown) => {
      log("error", "admin request failed", { path: request.url?.slice(0, 200), error: String(error) });
      if (!response.headersSent) send(request, response, json(500, { error: "internal error; see the server's log" }));
    });
  });
}

async function answer(
  request: IncomingMessage,
  response: ServerResponse,
  routes: AdminRoutes,
  changes: AdminChanges,
): Promise<void> {
  const path = (request.url ?? "/").split("?", 1)[0] ?? "/";
  const get = Object.hasOwn(routes, path) ? routes[path] : undefined;
  const post = Object.hasOwn(changes, path) ? changes[path] : undefined;
  if (post !== undefined && request.method === "POST") {
    const answered = await post(request);
    // What is left of a body that nobody wants is not waited for.
    if (!request.readableEnded) response.setHeader("connection", "close");
    send(request, response, answered);
    return;
  }
  request.resume();
  if (get !== undefined && (request.method === "GET" || request.method === "HEAD")) {
    send(request, response, await get());
  } else if (get === undefined && post === undefined) {
    send(
      request,
      response,
      json(404, { error: "not found", paths: [...Object.keys(routes), ...Object.keys(changes)] }),
    );
  } else {
    response.setHeader("allow", [...(get ? ["GET", "HEAD"] : []), ...(post ? ["POST"] : [])].join(", "));
    send(request, response, json(405, { error: "method not allowed" }));
  }
}

function send(request: IncomingMessage, response: ServerResponse, { status, contentType, body }: AdminAnswer): void {
  response.writeHead(status, {
    "content-type": contentType,
    "content-length": Buffer.byteLength(body),
    "cache-control": "no-store",
  });
  response.end(request.method === "HEAD" ? undefined : body);
}
