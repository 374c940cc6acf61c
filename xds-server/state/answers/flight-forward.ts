/** A request that came to the wrong server, passed on to the right one: what that answers comes back as it comes, and breaks off where it breaks off. */
import {
  type ClientHttp2Session,
  connect,
  constants,
  type IncomingHttpHeaders,
  type ServerHttp2Stream,
} from "node:http2";
import { parsePlace } from "./flight-places.ts";
import { FLIGHT_HEADER, FOLLOW_PATH } from "./follow-request.ts";
import { MAX_PLACES } from "./limits.ts";

/** Says that a request was passed on: it is not passed on again. */
export const HOP_HEADER = "x-llm-flight-hop";
/** How long the other server may take for the head of an answer whose first bytes it has, ms. */
const HEAD_TIMEOUT_MS = 2_000;
/** Headers of an answer that go on. */
const PASSED = ["content-type", "content-length", "x-llm-cache", "x-llm-cache-key", "age"];

export class FlightForwarder {
  /** One connection to each server. */
  readonly #sessions = new Map<string, ClientHttp2Session>();
  #closed = false;

  /** Answers `stream` with what is at `place` for `id`; calls `gone` when there is nothing, before anything was sent. */
  forward(stream: ServerHttp2Stream, id: string, place: string, gone: () => void): void {
    const session = this.#session(place);
    if (session === undefined) {
      gone();
      return;
    }
    const head = { ":method": "POST", ":path": FOLLOW_PATH, [FLIGHT_HEADER]: id, [HOP_HEADER]: "1" };
    const asked = session.request(head, { endStream: true });
    const timer = setTimeout(() => asked.close(constants.NGHTTP2_CANCEL), HEAD_TIMEOUT_MS);
    asked.on("response", (headers) => {
      clearTimeout(timer);
      if (!stream.destroyed) stream.respond(passed(headers), { waitForTrailers: true });
    });
    asked.on("data", (bytes: Buffer) => {
      if (!stream.destroyed && !stream.write(bytes)) asked.pause();
    });
    stream.on("drain", () => asked.resume());
    // What has gone wrong is known by its code.
    asked.on("error", () => {});
    asked.on("close", () => {
      clearTimeout(timer);
      if (stream.destroyed) return;
      if (!stream.headersSent) gone();
      else if (asked.rstCode === constants.NGHTTP2_NO_ERROR) stream.end();
      else stream.close(constants.NGHTTP2_INTERNAL_ERROR);
    });
    stream.on("wantTrailers", () => stream.sendTrailers({}));
    stream.on("close", () => asked.close(constants.NGHTTP2_CANCEL));
  }

  /** Connections end with what is under way on them. */
  close(): void {
    this.#closed = true;
    for (const session of this.#sessions.values()) session.close();
  }

  #session(place: string): ClientHttp2Session | undefined {
    const known = this.#sessions.get(place);
    if (known !== undefined && !known.closed && !known.destroyed) return known;
    const address = parsePlace(place);
    if (address === undefined || this.#closed || this.#sessions.size >= MAX_PLACES) return undefined;
    const host = address.host.includes(":") ? `[${address.host}]` : address.host;
    const session = connect(`http://${host}:${address.port}`);
    session.unref();
    this.#sessions.set(place, session);
    session.on("error", () => {});
    session.on("close", () => {
      if (this.#sessions.get(place) === session) this.#sessions.delete(place);
    });
    return session;
  }
}

function passed(headers: IncomingHttpHeaders & { ":status"?: number | undefined }) {
  const kept = PASSED.flatMap((name) => (headers[name] === undefined ? [] : [[name, headers[name]] as const]));
  return { ":status": headers[":status"] ?? 503, ...Object.fromEntries(kept) };
}
