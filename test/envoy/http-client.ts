/** Requests exactly as a test means them: raw bytes, chosen framing, HTTP/1.1 or HTTP/2 with prior knowledge, no retries. */
import { type Agent, request as http1Request, type IncomingHttpHeaders } from "node:http";
import { connect } from "node:http2";

export interface RawRequest {
  /** Default POST. */
  readonly method?: string;
  readonly path: string;
  /** A repeated header is a list. */
  readonly headers?: Readonly<Record<string, string | string[]>>;
  readonly body?: Uint8Array | string;
  /** Without it the body has a content-length; with it the body goes out in pieces of this size, chunked in HTTP/1.1. */
  readonly pieceBytes?: number;
  /** HTTP/2: leaves the request open after the body. Node drops an early answer while it still has something to send. */
  readonly hold?: boolean;
  readonly agent?: Agent;
  readonly timeoutMs?: number;
  /** HTTP/1.1: the client goes away. */
  readonly signal?: AbortSignal;
}

export interface RawAnswer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer;
  /** From the first byte sent to the last byte received. */
  readonly elapsedMs: number;
}

export type RawClient = (base: string, request: RawRequest) => Promise<RawAnswer>;

const TIMEOUT_MS = 20_000;

export const http1: RawClient = (base, request) =>
  new Promise((resolve, reject) => {
    const { method = "POST", path, headers = {}, agent = false, timeoutMs = TIMEOUT_MS, signal } = request;
    const startedAt = performance.now();
    const options = { method, headers: { ...lengthOf(request), ...headers }, agent, timeout: timeoutMs, signal };
    const outgoing = http1Request(`${base}${path}`, options, (answer) => {
      const chunks: Buffer[] = [];
      answer.on("data", (chunk: Buffer) => chunks.push(chunk));
      answer.on("error", reject);
      answer.on("end", () => {
        const elapsedMs = performance.now() - startedAt;
        resolve({ status: answer.statusCode ?? 0, headers: answer.headers, body: Buffer.concat(chunks), elapsedMs });
      });
    });
    outgoing.on("timeout", () => outgoing.destroy(new Error(`no answer to ${method} ${path} in ${timeoutMs} ms`)));
    outgoing.on("error", reject);
    for (const piece of pieces(request)) outgoing.write(piece);
    outgoing.end();
  });

export const http2: RawClient = (base, request) =>
  new Promise((resolve, reject) => {
    const { method = "POST", path, headers = {}, timeoutMs = TIMEOUT_MS } = request;
    const session = connect(base);
    const startedAt = performance.now();
    const fail = (error: Error): void => {
      clearTimeout(timer);
      session.destroy();
      reject(error);
    };
    // A timer of its own: that of the stream ends with the first reset.
    const timer = setTimeout(() => fail(new Error(`no answer to ${method} ${path} in ${timeoutMs} ms`)), timeoutMs);
    session.on("error", fail);
    const stream = session.request(
      { ":method": method, ":path": path, ...lengthOf(request), ...headers },
      { endStream: false },
    );
    let answered: IncomingHttpHeaders = {};
    const chunks: Buffer[] = [];
    stream.on("response", (got) => {
      answered = got as IncomingHttpHeaders;
    });
    stream.on("data", (chunk: Buffer) => chunks.push(chunk));
    stream.on("error", fail);
    // Not "end": an early answer is followed by a reset, and the status may come after "end".
    stream.on("close", () => {
      const elapsedMs = performance.now() - startedAt;
      clearTimeout(timer);
      session.close();
      resolve({ status: Number(answered[":status"]), headers: answered, body: Buffer.concat(chunks), elapsedMs });
    });
    for (const piece of pieces(request)) stream.write(piece);
    if (request.hold !== true) stream.end();
  });

function lengthOf({ body = "", pieceBytes }: RawRequest): Record<string, string> {
  const length = Buffer.byteLength(body);
  return pieceBytes === undefined && length > 0 ? { "content-length": String(length) } : {};
}

function pieces({ body = "", pieceBytes }: RawRequest): Buffer[] {
  const bytes = Buffer.from(body);
  const size = pieceBytes ?? Math.max(1, bytes.length);
  const list: Buffer[] = [];
  for (let at = 0; at < bytes.length; at += size) list.push(bytes.subarray(at, at + size));
  return list;
}

/** The body of an answer as JSON. */
export function json(answer: RawAnswer): unknown {
  return JSON.parse(answer.body.toString("utf8")) as unknown;
}
