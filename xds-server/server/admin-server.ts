/**
 * The admin API: `GET /ready`, `/metrics` (Prometheus), `/snapshot` (what is served, and what each Envoy has). Plain HTTP for
 * loopback or a private network; it changes nothing.
 */
import type { IncomingMessage, ServerResponse } from "node:http";
import type { Logger } from "../log.ts";
import { type HttpServer, startHttpServer } from "./http-server.ts";

export interface AdminAnswer {
  readonly status: number;
  readonly contentType: string;
  readonly body: string;
}

/** Handlers by path; they may be slow (metrics are collected), never throw on user input. */
export type AdminRoutes = Readonly<Record<string, () => AdminAnswer | Promise<AdminAnswer>>>;

export function json(status: number, value: unknown): AdminAnswer {
  return { status, contentType: "application/json", body: `${JSON.stringify(value, undefined, 2)}\n` };
}

/** @throws ServerError TM_LISTEN_FAILED, TM_USAGE */
export function startAdminServer(address: string, routes: AdminRoutes, log: Logger): Promise<HttpServer> {
  return startHttpServer(address, (request, response) => {
    answer(request, response, routes).catch((error: unknown) => {
      log("error", "admin request failed", { path: request.url?.slice(0, 200), error: String(error) });
      if (!response.headersSent) send(request, response, json(500, { error: "internal error; see the server's log" }));
    });
  });
}

async function answer(request: IncomingMessage, response: ServerResponse, routes: AdminRoutes): Promise<void> {
  request.resume();
  const path = (request.url ?? "/").split("?", 1)[0] ?? "/";
  const handler = Object.hasOwn(routes, path) ? routes[path] : undefined;
  if (handler === undefined) {
    send(request, response, json(404, { error: "not found", paths: Object.keys(routes) }));
  } else if (request.method !== "GET" && request.method !== "HEAD") {
    response.setHeader("allow", "GET, HEAD");
    send(request, response, json(405, { error: "method not allowed" }));
  } else {
    send(request, response, await handler());
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
