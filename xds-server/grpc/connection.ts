/** One connection of a client: who it is, whether it is still there, and its end. */
import type { ServerHttp2Session, ServerHttp2Stream } from "node:http2";
import { type Peer, peerOf } from "./peer.ts";
import { Status } from "./status.ts";
import type { StreamCall } from "./stream-call.ts";
import type { UnaryConnection, UnaryLimits } from "./unary-call.ts";

export class Connection implements UnaryConnection {
  readonly peer: Peer;
  readonly limits: UnaryLimits;
  pendingBytes = 0;
  readonly #session: ServerHttp2Session;
  readonly #streams = new Set<StreamCall>();
  /** When it is told to go. */
  #retirement: NodeJS.Timeout | undefined;
  #question: NodeJS.Timeout | undefined;

  constructor(session: ServerHttp2Session, limits: UnaryLimits) {
    this.#session = session;
    this.limits = limits;
    this.peer = peerOf(session.socket);
    // A peer that breaks the protocol, a connection that breaks: node has closed it.
    session.on("error", () => {});
  }

  /** Counts a stream among those that end with the connection. */
  open(call: StreamCall, stream: ServerHttp2Stream): void {
    this.#streams.add(call);
    stream.on("close", () => this.#streams.delete(call));
  }

  /** Pings the peer, and closes the connection when no answer comes. */
  ask(timeoutMs: number): void {
    const session = this.#session;
    if (session.closed || session.destroyed || this.#question !== undefined) return;
    this.#question = setTimeout(() => session.destroy(), timeoutMs).unref();
    session.ping(() => {
      clearTimeout(this.#question);
      this.#question = undefined;
    });
  }

  /** Lets the connection grow this old. The ends of its streams are no failure: OK. */
  retireAfter(ms: number): void {
    this.#retirement = setTimeout(() => this.#end(Status.ok, "the connection is old; come back"), ms).unref();
  }

  /** The server goes away. */
  leave(afterMs: number): void {
    const go = () => this.#end(Status.unavailable, "the server is shutting down");
    clearTimeout(this.#retirement);
    if (afterMs === 0) go();
    else this.#retirement = setTimeout(go, afterMs);
  }

  destroy(): void {
    this.#session.destroy();
  }

  closed(): void {
    clearTimeout(this.#retirement);
    clearTimeout(this.#question);
  }

  /** GOAWAY first, so that the peer opens no new stream here when it sees the old one end. */
  #end(status: Status, reason: string): void {
    if (this.#session.destroyed) return;
    this.#session.close();
    for (const call of this.#streams) call.end(status, reason);
  }
}
