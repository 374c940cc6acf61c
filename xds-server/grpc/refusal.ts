/** Answers without a body. */
import { constants, type ServerHttp2Stream } from "node:http2";

/** Answers with these headers alone. What the caller still sends is not read. */
export function leave(stream: ServerHttp2Stream, headers: Readonly<Record<string, string | number>>): void {
  if (isOver(stream)) return;
  stream.respond(headers, { endStream: true });
  if (!stream.readableEnded) stream.close(constants.NGHTTP2_NO_ERROR);
}

/** Answered, or reset by the caller. */
export const isOver = (stream: ServerHttp2Stream): boolean => stream.headersSent || stream.closed || stream.destroyed;
