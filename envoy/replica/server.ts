/** A replica: a model server without a model that speaks the APIs of OpenAI, Anthropic and Gemini over node:http, and fails when it is told to. */
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { dispatch, type ReplicaParts } from "./dispatch.ts";
import { type Clock, ReplicaEngine, realClock } from "./engine.ts";
import { type Failure, FailureScript } from "./failures.ts";
import type { ReplicaCounters } from "./generate.ts";
import { createMetrics } from "./metrics.ts";
import { type ReplicaRequest, RequestLog } from "./request-log.ts";
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
  /** False computes every prompt anew: then an answer follows from its request alone, `usage` included. Default true. */
  readonly prefixCache?: boolean;
  /** How many recent requests `requests` keeps, with bodies; default 64. */
  readonly keepRequests?: number;
  readonly clock?: Clock;
}

export interface ReplicaStats extends Readonly<ReplicaCounters> {
  readonly running: number;
  readonly waiting: number;
  readonly kvUsage: number;
}

export interface FailureOptions {
  /** How many requests fail this way; default 1. */
  readonly times?: number | "always";
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
  /**
   * Makes the next requests fail; several calls queue up, one failure after the other. GET /health and GET /metrics are never failed.
   *
   * `refuse` acts at once and lasts until `recover()`: nobody can connect, idle connections end, answers under way go on. What cannot
   * connect cannot be counted, so `times` must be absent or `always`. Throws RangeError for other values of `times`.
   */
  failNext(failure: Failure, options?: FailureOptions): void;
  /** Ends all failures but those that a request has met already: what hangs goes on hanging. After `refuse` it listens on the same port again; rejects when somebody else has taken it meanwhile. */
  recover(): Promise<void>;
  /** Stops listening and cuts open connections. */
  close(): Promise<void>;
}

/** Starts a replica and resolves when it listens. Rejects when the port is taken. */
export async function startReplica(options: ReplicaOptions): Promise<Replica> {
  const { name, models, host = "127.0.0.1", timing = "instant", keepRequests = 64 } = options;
  const engine = new ReplicaEngine(
    typeof timing === "string" ? TIMING_PROFILES[timing] : timing,
    options.clock ?? realClock,
  );
  const counters: ReplicaCounters = { served: 0, aborted: 0, tokens: 0 };
  const { answerTokens = 24, prefixCache = true } = options;
  let lastId = 0;
  const log = new RequestLog(keepRequests);
  const failures = new FailureScript();
  const metrics = createMetrics(engine.model, models);
  const parts: ReplicaParts = {
    host: { name, engine, metrics, counters, answerTokens, prefixCache, nextId: () => ++lastId },
    models,
    log,
    failures,
  };
  const server = startServer(parts);
  await listen(server, options.port ?? 0, host);
  const { port } = server.address() as AddressInfo;

  return {
    name,
    models,
    port,
    url: `http://${host.includes(":") ? `[${host}]` : host}:${port}`,
    requests: log.requests,
    stats: () => ({
      ...counters,
      running: engine.model.running,
      waiting: engine.model.waiting,
      kvUsage: engine.model.kvUsage,
    }),
    clearRequests: () => log.clear(),
    failNext: (failure, { times } = {}) => {
      if (failure.kind !== "refuse") return failures.add(failure, times ?? 1);
      if (times !== undefined && times !== "always")
        throw new RangeError("refused connections cannot be counted: times must be absent or always");
      server.close();
    },
    recover: async () => {
      failures.clear();
      if (!server.listening) await listen(server, port, host);
    },
    close: () => {
      engine.stop();
      return new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      });
    },
  };
}

function startServer(parts: ReplicaParts): Server {
  const server = createServer((request, response) => {
    // Refusing: a connection that was busy when the port was closed brings another request.
    if (!server.listening) return void request.socket.destroy();
    response.setHeader("x-replica", parts.host.name);
    dispatch(parts, request, response).catch((error: unknown) => {
      if (response.destroyed) return; // the client went away while it sent its body
      if (response.headersSent) return void response.destroy();
      response.writeHead(500, { "content-type": "application/json" });
      response.end(
        JSON.stringify({ error: { message: String(error), type: "server_error", param: null, code: null } }),
      );
    });
  });
  // A proxy keeps connections for long; if the replica closed an idle one first, a request in flight on it would fail.
  server.keepAliveTimeout = 0;
  server.requestTimeout = 0;
  return server;
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
