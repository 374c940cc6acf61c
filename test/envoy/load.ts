/**
 * A load generator for long runs: keep-alive connections over plain sockets, requests prepared as bytes, answers read only as far as their status
 * and content-length. node:http would cost several times as much CPU as the Envoy under test.
 */
import { connect } from "node:net";

export interface Load {
  /** `http://host:port` */
  readonly url: string;
  /** Complete HTTP/1.1 requests; sent in turn. Their answers must have a content-length. */
  readonly requests: readonly Buffer[];
  readonly count: number;
  readonly connections: number;
}

export interface LoadResult {
  /** Answers per status. */
  readonly statuses: ReadonlyMap<number, number>;
  readonly seconds: number;
}

/** A POST with JSON, ready to send. */
export function postRequest(path: string, body: string): Buffer {
  const length = Buffer.byteLength(body);
  return Buffer.from(
    `POST ${path} HTTP/1.1\r\nhost: load\r\ncontent-type: application/json\r\ncontent-length: ${length}\r\n\r\n${body}`,
  );
}

/** Sends `count` requests; rejects when a connection breaks or an answer cannot be read. */
export async function runLoad({ url, requests, count, connections }: Load): Promise<LoadResult> {
  const statuses = new Map<number, number>();
  const startedAt = performance.now();
  let sent = 0;
  const next = (): Buffer | undefined => (sent < count ? requests[sent++ % requests.length] : undefined);
  const onStatus = (status: number): void => void statuses.set(status, (statuses.get(status) ?? 0) + 1);
  await Promise.all(Array.from({ length: connections }, () => runConnection(new URL(url), next, onStatus)));
  return { statuses, seconds: (performance.now() - startedAt) / 1000 };
}

function runConnection(url: URL, next: () => Buffer | undefined, onStatus: (status: number) => void): Promise<void> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host: url.hostname, port: Number(url.port), noDelay: true });
    let head = "";
    /** Bytes of the body still to come; -1 while the head is read. */
    let left = -1;
    const send = (): void => {
      const request = next();
      if (request === undefined) socket.end();
      else socket.write(request);
    };
    const fail = (reason: string): void => {
      socket.destroy();
      reject(new Error(reason));
    };
    socket.on("connect", send);
    socket.on("error", reject);
    socket.on("close", () =>
      left === -1 && head === "" ? resolve() : fail("the connection was closed within an answer"),
    );
    socket.on("data", (chunk: Buffer) => {
      let body = chunk.length;
      if (left === -1) {
        head += chunk.toString("latin1");
        const end = head.indexOf("\r\n\r\n");
        if (end < 0) return;
        const length = /\r\ncontent-length: (\d+)/i.exec(head)?.[1];
        if (length === undefined) return fail(`an answer without content-length: ${head.slice(0, 200)}`);
        onStatus(Number(head.slice(9, 12)));
        left = Number(length);
        body = head.length - end - 4;
        head = "";
      }
      left -= body;
      if (left < 0) return fail("more bytes than the answer's content-length");
      if (left === 0) {
        left = -1;
        send();
      }
    });
  });
}
