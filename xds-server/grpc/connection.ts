/** One connection of a client: who it is, whether it is still there, and its end. */
import type { ServerHttp2Session } from "node:http2";
import { type Peer, peerOf } from "./peer.ts";
import { Status } from "./status.ts";
import type { StreamCall, StreamConnection } from "./stream-call.ts";
import type { UnaryLimits } from "./unary-call.ts";

export class Connection implements StreamConnection {
  readonly peer: Peer;
  readonly limits: UnaryLimits;
  pendingBytes = 0;
  readonly #session: ServerHttp2Session;
  /** An Envoy has one, and a set of one takes more than the call itself. */
  #first: StreamCall | undefined;
  #others: Set<StreamCall> | undefined;
  /** When it is told that the server goes. */
  #departure: NodeJS.Timeout | undefined;
  #question: NodeJS.Timeout | undefined;

  readonly #retireAt: number;

  /** @param retireAt when {@link retire} ends it, ms on the clock of its caller */
  constructor(session: ServerHttp2Session, limits: UnaryLimits, retireAt: number) {
    this.#session = session;
    this.limits = limits;
    this.#retireAt = retireAt;
    this.peer = peerOf(session.socket);
    // A peer that breaks the protocol, a connection that breaks: node has closed it.
    session.on("error", ignore);
  }

  /** Counts a stream among those that end with the connection, until it is {@link ended}. */
  open(call: StreamCall): void {
    if (this.#first === undefined) {
      this.#first = call;
      return;
    }
    this.#others ??= new Set();
    this.#others.add(call);
  }

  ended(call: StreamCall): void {
    if (this.#first === call) this.#first = undefined;
    else this.#others?.delete(call);
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

  /** Ends the connection when it is old enough. The ends of its streams are no failure: OK. */
  retire(now: number): void {
    if (now >= this.#retireAt) this.#end(Status.ok, "the connection is old; come back");
  }

  /** The server goes away. */
  leave(afterMs: number): void {
    const go = () => this.#end(Status.unavailable, "the server is shutting down");
    clearTimeout(this.#departure);
    if (afterMs === 0) go();
    else this.#departure = setTimeout(go, afterMs);
  }

  destroy(): void {
    this.#session.destroy();
  }

  closed(): void {
    clearTimeout(this.#departure);
    clearTimeout(this.#question);
  }

  /** GOAWAY first, so that the peer opens no new stream here when it sees the old one end. */
  #end(status: Status, reason: string): void {
    if (this.#session.destroyed) return;
    this.#session.close();
    this.#first?.end(status, reason);
    for (const call of this.#others ?? []) call.end(status, reason);
  }
}

function ignore(): void {}
