/**
 * A gRPC server of unary calls on node:http2, without TLS. One message in, one out: what a general server spends on metadata, interceptors and streams
 * of messages is more than what a ledger in memory spends on the call itself.
 * https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md
 *
 * `grpc-timeout` is not looked at: no call takes longer than its store may, and a caller that gives up resets its stream. Messages are not compressed,
 * they are a few hundred bytes. What breaks HTTP/2 itself, node answers.
 */
import {
  constants,
  createServer,
  type IncomingHttpHeaders,
  type IncomingHttpStatusHeader,
  type ServerHttp2Session,
  type ServerHttp2Stream,
} from "node:http2";
import type { AddressInfo } from "node:net";

/** https://grpc.github.io/grpc/core/md_doc_statuscodes.html */
export const Status = {
  invalidArgument: 3,
  resourceExhausted: 8,
  unimplemented: 12,
  internal: 13,
  unavailable: 14,
} as const;
export type Status = (typeof Status)[keyof typeof Status];

/** Ends a call with a status. */
export class CallError extends Error {
  override readonly name = "CallError";
  readonly status: Status;

  constructor(status: Status, message: string) {
    super(message);
    this.status = status;
  }
}

/** Takes and gives one message. @throws CallError */
export type UnaryMethod = (message: Buffer) => Uint8Array | Promise<Uint8Array>;

export interface UnaryServerOptions {
  readonly host: string;
  /** 0 takes a free one. */
  readonly port: number;
  /** By path, such as "/grpc.health.v1.Health/Check". */
  readonly methods: ReadonlyMap<string, UnaryMethod>;
  /** Of one message, bytes. */
  readonly maxMessageBytes: number;
  /** Of all messages that one connection has sent and that are not answered, bytes. */
  readonly maxPendingBytes: number;
  /** Calls under way on one connection. */
  readonly maxCalls: number;
  /** Each connection is asked this often whether its peer is still there, and closed when it does not say so in time, ms. */
  readonly keepaliveMs: number;
  readonly keepaliveTimeoutMs: number;
  /** How long calls may take to finish when the server closes, ms. */
  readonly graceMs: number;
  /** Told what a method throws besides CallError; the caller gets INTERNAL. */
  readonly onFailure: (error: unknown) => void;
}

export interface UnaryServer {
  readonly port: number;
  /** Takes no more calls, lets those under way finish, and closes. */
  close(): Promise<void>;
}

interface Connection {
  readonly options: UnaryServerOptions;
  pendingBytes: number;
}

/** A message begins with a byte that says whether it is compressed, and four that say how long it is. */
const PREFIX = 5;
const HEADERS = { ":status": 200, "content-type": "application/grpc" } as const;
const TRAILERS = { "grpc-status": "0" };
const INTERNAL = new CallError(Status.internal, "internal error; see the server's log");

/** @throws Error of node:net when it cannot listen */
export async function startUnaryServer(options: UnaryServerOptions): Promise<UnaryServer> {
  const { host, port, maxCalls, keepaliveMs, keepaliveTimeoutMs, graceMs } = options;
  const server = createServer({ settings: { maxConcurrentStreams: maxCalls } });
  const sessions = new Set<ServerHttp2Session>();
  server.on("session", (session) => {
    sessions.add(session);
    session.on("close", () => sessions.delete(session));
    // A peer that breaks the protocol, a connection that breaks: node has closed it.
    session.on("error", ignore);
    const connection: Connection = { options, pendingBytes: 0 };
    session.on("stream", (stream: ServerHttp2Stream, headers: CallHeaders) => accept(stream, headers, connection));
  });
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
    for (const session of sessions) ask(session, keepaliveTimeoutMs);
  }, keepaliveMs).unref();
  return {
    port: (server.address() as AddressInfo).port,
    close: async () => {
      clearInterval(asking);
      const closed = new Promise((resolve) => server.close(resolve));
      for (const session of sessions) session.close();
      const timer = setTimeout(() => {
        for (const session of sessions) session.destroy();
      }, graceMs);
      await closed;
      clearTimeout(timer);
    },
  };
}

/** Pings the peer. */
function ask(session: ServerHttp2Session, timeoutMs: number): void {
  if (session.closed || session.destroyed) return;
  const timer = setTimeout(() => session.destroy(), timeoutMs).unref();
  session.ping(() => clearTimeout(timer));
}

type CallHeaders = IncomingHttpHeaders & IncomingHttpStatusHeader & { ":method"?: string; ":path"?: string };

function accept(stream: ServerHttp2Stream, headers: CallHeaders, connection: Connection): void {
  stream.on("error", ignore);
  const method = connection.options.methods.get(headers[":path"] ?? "");
  if (headers[":method"] !== "POST") leave(stream, { ":status": 405 });
  else if (!/^application\/grpc(?:$|[+;])/.test(headers["content-type"] ?? "")) leave(stream, { ":status": 415 });
  else if (method === undefined) refuse(stream, Status.unimplemented, "no such method");
  else receive(stream, method, connection);
}

function receive(stream: ServerHttp2Stream, method: UnaryMethod, connection: Connection): void {
  const { maxMessageBytes, maxPendingBytes } = connection.options;
  const parts: Buffer[] = [];
  let received = 0;
  stream.on("data", (bytes: Buffer) => {
    received += bytes.length;
    connection.pendingBytes += bytes.length;
    if (received > PREFIX + maxMessageBytes) {
      refuse(stream, Status.resourceExhausted, `a message has at most ${maxMessageBytes} bytes`);
    } else if (connection.pendingBytes > maxPendingBytes) {
      refuse(stream, Status.resourceExhausted, "too many bytes under way on this connection");
    } else parts.push(bytes);
  });
  stream.on("close", () => {
    connection.pendingBytes -= received;
  });
  stream.on("end", () => {
    // Node says no more of a stream that is closed; a call that was refused must not be made if that ever changes.
    if (isOver(stream)) return;
    const [first = Buffer.alloc(0)] = parts;
    const bytes = parts.length > 1 ? Buffer.concat(parts) : first;
    if (bytes[0] === 1) refuse(stream, Status.unimplemented, "messages may not be compressed");
    else if (bytes[0] !== 0 || bytes.length < PREFIX || bytes.readUInt32BE(1) !== bytes.length - PREFIX) {
      refuse(stream, Status.internal, "a unary call has one message");
    } else void answer(stream, method, bytes.subarray(PREFIX), connection.options);
  });
}

async function answer(stream: ServerHttp2Stream, method: UnaryMethod, message: Buffer, options: UnaryServerOptions) {
  try {
    const reply = await method(message);
    if (isOver(stream)) return;
    const bytes = Buffer.allocUnsafe(PREFIX + reply.length);
    bytes[0] = 0;
    bytes.writeUInt32BE(reply.length, 1);
    bytes.set(reply, PREFIX);
    stream.on("wantTrailers", sendTrailers);
    stream.respond(HEADERS, { waitForTrailers: true });
    stream.end(bytes);
  } catch (error) {
    if (!(error instanceof CallError)) options.onFailure(error);
    const { status, message: reason } = error instanceof CallError ? error : INTERNAL;
    refuse(stream, status, reason);
  }
}

function sendTrailers(this: ServerHttp2Stream): void {
  this.sendTrailers(TRAILERS);
}

/** Ends the call with trailers only. */
function refuse(stream: ServerHttp2Stream, status: Status, message: string): void {
  leave(stream, { ...HEADERS, "grpc-status": String(status), "grpc-message": percentEncoded(message) });
}

/** Answers without a body. What the caller still sends is not read. */
function leave(stream: ServerHttp2Stream, headers: Readonly<Record<string, string | number>>): void {
  if (isOver(stream)) return;
  stream.respond(headers, { endStream: true });
  if (!stream.readableEnded) stream.close(constants.NGHTTP2_NO_ERROR);
}

/** Answered, or reset by the caller. */
const isOver = (stream: ServerHttp2Stream): boolean => stream.headersSent || stream.closed || stream.destroyed;

/** `grpc-message`: printable ASCII without %; every other byte of the UTF-8 is %XX. */
function percentEncoded(text: string): string {
  let encoded = "";
  for (const byte of Buffer.from(text)) {
    const plain = byte >= 0x20 && byte <= 0x7e && byte !== 0x25;
    encoded += plain ? String.fromCharCode(byte) : `%${byte.toString(16).toUpperCase().padStart(2, "0")}`;
  }
  return encoded;
}

function ignore(): void {}
