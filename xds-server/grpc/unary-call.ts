/** A gRPC call of one message in and one out. */
import type { ServerHttp2Stream } from "node:http2";
import { PREFIX_BYTES, prefixed } from "./framing.ts";
import type { Peer } from "./peer.ts";
import { isOver, leave } from "./refusal.ts";
import { CallError, INTERNAL, percentEncoded, Status } from "./status.ts";

/** Takes and gives one message. @throws CallError */
export type UnaryMethod = (message: Buffer, call: UnaryCall) => Uint8Array | Promise<Uint8Array>;

/** What a method may want to know of the call. */
export interface UnaryCall {
  readonly peer: Peer;
  /** Calls `cancelled` when the caller gives up before there is an answer. */
  onCancel(cancelled: () => void): void;
}

export interface UnaryLimits {
  /** Of one message, bytes. */
  readonly maxMessageBytes: number;
  /** Of all messages that one connection has sent and that are not answered, bytes. */
  readonly maxPendingBytes: number;
  /** Told what a method throws besides CallError; the caller gets INTERNAL. */
  readonly onFailure: (error: unknown) => void;
}

/** What the calls of one connection share. */
export interface UnaryConnection {
  readonly peer: Peer;
  readonly limits: UnaryLimits;
  pendingBytes: number;
}

const HEADERS = { ":status": 200, "content-type": "application/grpc" } as const;
const TRAILERS = { "grpc-status": "0" };

export function serveUnary(stream: ServerHttp2Stream, method: UnaryMethod, connection: UnaryConnection): void {
  const { maxMessageBytes, maxPendingBytes } = connection.limits;
  const parts: Buffer[] = [];
  let received = 0;
  stream.on("data", (bytes: Buffer) => {
    received += bytes.length;
    connection.pendingBytes += bytes.length;
    if (received > PREFIX_BYTES + maxMessageBytes) {
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
    else if (bytes[0] !== 0 || bytes.length < PREFIX_BYTES || bytes.readUInt32BE(1) !== bytes.length - PREFIX_BYTES) {
      refuse(stream, Status.internal, "a unary call has one message");
    } else void answer(stream, method, bytes.subarray(PREFIX_BYTES), connection);
  });
}

async function answer(
  stream: ServerHttp2Stream,
  method: UnaryMethod,
  message: Buffer,
  { peer, limits }: UnaryConnection,
): Promise<void> {
  const call: UnaryCall = {
    peer,
    onCancel: (cancelled) =>
      stream.on("close", () => {
        if (!stream.headersSent) cancelled();
      }),
  };
  try {
    const reply = await method(message, call);
    if (isOver(stream)) return;
    stream.on("wantTrailers", sendTrailers);
    stream.respond(HEADERS, { waitForTrailers: true });
    stream.end(prefixed(reply));
  } catch (error) {
    if (!(error instanceof CallError)) limits.onFailure(error);
    const { status, message: reason } = error instanceof CallError ? error : INTERNAL;
    refuse(stream, status, reason);
  }
}

function sendTrailers(this: ServerHttp2Stream): void {
  this.sendTrailers(TRAILERS);
}

/** Ends the call with trailers only. */
export function refuse(stream: ServerHttp2Stream, status: Status, message: string): void {
  leave(stream, { ...HEADERS, "grpc-status": String(status), "grpc-message": percentEncoded(message) });
}
