/**
 * A gRPC server on node:http2: calls of one message (unary-call.ts) and streams of messages (stream-call.ts), bytes in and bytes out. What a general
 * server spends on metadata, interceptors and copies of messages is more than what a ledger in memory spends on a call, and than what a shared xDS
 * response needs per stream: on 500 connections 17 KB pushes cost 18 us of CPU each against 64 us with grpc-js, and an idle connection with its stream
 * 22 KB against 32 KB.
 * https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md
 *
 * `grpc-timeout` is not looked at: no call takes longer than its store may, and a caller that gives up resets its stream. Messages are not compressed. What
 * breaks HTTP/2 itself, node answers.
 */
import {
  createSecureServer,
  createServer,
  type Http2SecureServer,
  type Http2Server,
  type IncomingHttpHeaders,
  type IncomingHttpStatusHeader,
  type ServerHttp2Session,
  type ServerHttp2Stream,
} from "node:http2";
import type { AddressInfo } from "node:net";
import type { Server as TlsServer } from "node:tls";
import { Connection } from "./connection.ts";
import { leave } from "./refusal.ts";
import { Status } from "./status.ts";
import { StreamCall, type StreamMethod } from "./stream-call.ts";
import { refuse, serveUnary, type UnaryLimits, type UnaryMethod } from "./unary-call.ts";

/** PEM texts. */
export interface TlsOptions {
  readonly cert: string;
  readonly key: string;
  /** Authorities of clients. With it a client without a certificate of theirs is refused in the handshake. */
  readonly clientCa?: string;
}

/** Answers a POST that is no gRPC call. */
export type PageMethod = (stream: ServerHttp2Stream, headers: IncomingHttpHeaders) => void;

export interface GrpcServerOptions extends UnaryLimits {
  readonly host: string;
  /** 0 takes a free one. */
  readonly port: number;
  /** Plain text without it. */
  readonly tls?: TlsOptions | undefined;
  /** By path, such as "/grpc.health.v1.Health/Check". */
  readonly methods: ReadonlyMap<string, UnaryMethod>;
  readonly streams?: ReadonlyMap<string, StreamMethod>;
  /** What else is answered, by path. */
  readonly pages?: ReadonlyMap<string, PageMethod>;
  /** Calls under way on one connection. */
  readonly maxCalls: number;
  /** Connections; more are closed at once. No limit by default. */
  readonly maxConnections?: number;
  /** Each connection is asked this often whether its peer is still there, and closed when it does not say so in time, ms. */
  readonly keepaliveMs: number;
  readonly keepaliveTimeoutMs: number;
  /** How old a connection may become, ms, give or take a tenth: its streams are ended, and the peer comes back, perhaps to another replica. No limit by default. */
  readonly maxConnectionAgeMs?: number;
  /** How long calls may take to finish when the server closes, ms. */
  readonly graceMs: number;
  /** Spreads the ends of connections, [0, 1). */
  readonly random?: () => number;
  /** A TLS handshake that failed. */
  readonly onHandshakeFailure?: (reason: string) => void;
}

export interface GrpcServer {
  readonly port: number;
  readonly connections: number;
  /** New certificates for new connections. @throws Error when they are none */
  setTls(tls: TlsOptions): void;
  /**
   * Takes no more calls, lets unary calls under way finish, ends streams with UNAVAILABLE, and closes.
   * @param spreadMs over which the connections are told, so that thousands of peers do not come to the other replicas at once; 0 by default
   */
  close(spreadMs?: number): Promise<void>;
}

/** A client that does not finish its TLS handshake holds a socket. */
const HANDSHAKE_TIMEOUT_MS = 10_000;

/** In so many steps a connection becomes old: connections that came together go in as many small groups as a fifth of this, the spread of their ages. */
const RETIREMENT_STEPS = 1_000;

/** @throws Error of node:net when it cannot listen, of node:tls for certificates that are none */
export async function startGrpcServer(options: GrpcServerOptions): Promise<GrpcServer> {
  const { host, port, maxCalls, keepaliveMs, keepaliveTimeoutMs, graceMs, random = Math.random } = options;
  // Without tables of header fields that were there before: a call has few of them, and a connection would hold up to some 10 KB for each direction.
  const session = { settings: { maxConcurrentStreams: maxCalls, headerTableSize: 0 }, maxDeflateDynamicTableSize: 0 };
  const server: Http2Server | Http2SecureServer =
    options.tls === undefined
      ? createServer(session)
      : createSecureServer({ ...session, handshakeTimeout: HANDSHAKE_TIMEOUT_MS, ...secureContext(options.tls) });
  if (options.maxConnections !== undefined) server.maxConnections = options.maxConnections;
  const connections = new Map<ServerHttp2Session, Connection>();
  const { maxConnectionAgeMs = Number.POSITIVE_INFINITY } = options;
  // One function for all sessions, and one timer: thousands of them are open at a time.
  function onClose(this: ServerHttp2Session): void {
    connections.get(this)?.closed();
    connections.delete(this);
  }
  server.on("session", (session: ServerHttp2Session) => {
    const retireAt = performance.now() + maxConnectionAgeMs * (0.9 + 0.2 * random());
    connections.set(session, new Connection(session, options, retireAt));
    session.on("close", onClose);
  });
  server.on("stream", (stream: ServerHttp2Stream, headers: CallHeaders) => {
    stream.on("error", ignore);
    const connection = stream.session && connections.get(stream.session as ServerHttp2Session);
    if (connection !== undefined) accept(stream, headers, connection, options);
  });
  server.on("tlsClientError", (error: Error) => options.onHandshakeFailure?.(error.message));
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(port, host, () => {
      server.off("error", reject);
      resolve();
    });
  });
  // A connection that could not be accepted, such as for want of file descriptors.
  server.on("error", options.onFailure);
  const asking = setInterval(() => {
    for (const connection of connections.values()) connection.ask(keepaliveTimeoutMs);
  }, keepaliveMs).unref();
  const retiring =
    options.maxConnectionAgeMs === undefined
      ? undefined
      : setInterval(() => {
          const now = performance.now();
          for (const connection of connections.values()) connection.retire(now);
        }, options.maxConnectionAgeMs / RETIREMENT_STEPS).unref();
  return {
    port: (server.address() as AddressInfo).port,
    get connections() {
      return connections.size;
    },
    setTls: (tls) => {
      if (options.tls !== undefined) (server as unknown as TlsServer).setSecureContext(secureContext(tls));
    },
    close: async (spreadMs = 0) => {
      clearInterval(asking);
      clearInterval(retiring);
      const closed = new Promise((resolve) => server.close(resolve));
      const leaving = [...connections.values()];
      for (const [index, connection] of leaving.entries()) connection.leave((spreadMs * index) / leaving.length);
      const timer = setTimeout(() => {
        for (const connection of connections.values()) connection.destroy();
      }, spreadMs + graceMs);
      await closed;
      clearTimeout(timer);
    },
  };
}

function secureContext({ cert, key, clientCa }: TlsOptions) {
  const client = clientCa === undefined ? {} : { ca: clientCa, requestCert: true, rejectUnauthorized: true };
  return { cert, key, ...client, minVersion: "TLSv1.2" as const };
}

type CallHeaders = IncomingHttpHeaders & IncomingHttpStatusHeader & { ":method"?: string; ":path"?: string };

function accept(
  stream: ServerHttp2Stream,
  headers: CallHeaders,
  connection: Connection,
  { methods, streams, pages }: GrpcServerOptions,
): void {
  const path = headers[":path"] ?? "";
  const unary = methods.get(path);
  const streaming = unary === undefined ? streams?.get(path) : undefined;
  const page = pages?.get(path.split("?", 1).join());
  if (headers[":method"] !== "POST") leave(stream, { ":status": 405 });
  else if (page !== undefined) page(stream, headers);
  else if (!/^application\/grpc(?:$|[+;])/.test(headers["content-type"] ?? "")) leave(stream, { ":status": 415 });
  else if (unary !== undefined) serveUnary(stream, unary, connection);
  else if (streaming === undefined) refuse(stream, Status.unimplemented, "no such method");
  else {
    const call = new StreamCall(stream, connection);
    connection.open(call);
    call.run(() => streaming(call));
  }
}

function ignore(): void {}
