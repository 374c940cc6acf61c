/** A server of the loads feed that reports what a test sets: gRPC over HTTP/2 without TLS, `tokenmesh.loads.v1.EndpointLoads/Fetch`. */
import { createServer, type Http2Session } from "node:http2";
import type { AddressInfo } from "node:net";

export interface EngineLoad {
  /** "ip:port" */
  readonly address: string;
  readonly waiting?: number;
  readonly running?: number;
  readonly kvPermille?: number;
}

export interface Feed {
  /** `host:port` */
  readonly address: string;
  /** Names of the pools that were asked for, each once for every call. */
  readonly asked: readonly string[];
  /** What the next calls are told. */
  report(loads: readonly EngineLoad[]): void;
  close(): Promise<void>;
}

const NO_FEED = "/tokenmesh.loads.v1.EndpointLoads/Fetch";

export async function startFeed(): Promise<Feed> {
  let answer = message([]);
  const asked: string[] = [];
  const sessions = new Set<Http2Session>();
  const server = createServer();
  server.on("session", (session) => {
    sessions.add(session);
    session.on("close", () => sessions.delete(session));
  });
  server.on("stream", (stream, headers) => {
    const chunks: Buffer[] = [];
    stream.on("data", (chunk: Buffer) => chunks.push(chunk));
    stream.on("error", () => {});
    stream.on("end", () => {
      // 5 bytes of framing, then `string pool = 1` of less than 128 bytes.
      asked.push(Buffer.concat(chunks).subarray(7).toString());
      stream.respond({ ":status": 200, "content-type": "application/grpc" }, { waitForTrailers: true });
      stream.on("wantTrailers", () =>
        stream.sendTrailers({ "grpc-status": headers[":path"] === NO_FEED ? "0" : "12" }),
      );
      stream.end(answer);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    address: `127.0.0.1:${(server.address() as AddressInfo).port}`,
    asked,
    report: (loads) => {
      answer = message(loads);
    },
    close: () => {
      for (const session of sessions) session.destroy();
      return new Promise((resolve) => server.close(() => resolve()));
    },
  };
}

/** A gRPC message with `repeated EndpointLoad endpoints = 1`. */
function message(loads: readonly EngineLoad[]): Buffer {
  const body = Buffer.concat(loads.map((load) => delimited(1, endpoint(load))));
  const frame = Buffer.alloc(5);
  frame.writeUInt32BE(body.length, 1);
  return Buffer.concat([frame, body]);
}

function endpoint({ address, waiting = 0, running = 0, kvPermille = 0 }: EngineLoad): Buffer {
  const numbers = [
    [3, waiting],
    [4, running],
    [5, kvPermille],
  ] as const;
  return Buffer.concat([
    delimited(1, Buffer.from(address)),
    ...numbers.map(([field, value]) => Buffer.from([field << 3, ...varint(value)])),
  ]);
}

function delimited(field: number, bytes: Buffer): Buffer {
  return Buffer.concat([Buffer.from([(field << 3) | 2, ...varint(bytes.length)]), bytes]);
}

function varint(value: number): number[] {
  return value < 128 ? [value] : [(value & 127) | 128, ...varint(value >>> 7)];
}
