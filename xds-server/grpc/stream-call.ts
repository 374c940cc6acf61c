/** A gRPC call in which both sides send as many messages as they like, until one of them ends it. */
import { constants, type ServerHttp2Stream } from "node:http2";
import { MessageReader, prefixed } from "./framing.ts";
import type { Peer } from "./peer.ts";
import { CallError, INTERNAL, percentEncoded, type Status } from "./status.ts";
import type { UnaryConnection } from "./unary-call.ts";

/** Takes a call: sets what it wants to hear (`onMessage` and so on) before it returns. */
export type StreamMethod = (call: StreamCall) => void;

const NO_TRAILERS: Readonly<Record<string, string>> = {};
const HEADERS = { ":status": 200, "content-type": "application/grpc" } as const;

/** How long a call that this side has ended may take to send what is on its way; a peer that does not read would hold it for ever. */
const LAST_WORDS_MS = 2_000;

/** What calls of one connection share. */
export interface StreamConnection extends UnaryConnection {
  /** The stream of the call is closed. */
  ended(call: StreamCall): void;
}

const CALL = Symbol("call");

interface CallStream extends ServerHttp2Stream {
  [CALL]: StreamCall;
}

/** One object per stream, and no closures: thousands of them are open at a time. */
export class StreamCall {
  readonly peer: Peer;
  /** For those who listen: whose call it is. */
  owner: unknown;
  onMessage: (this: StreamCall, message: Buffer) => void = ignore;
  /** There is room to write again. */
  onDrain: (this: StreamCall) => void = ignore;
  /** The peer sends no more; the call is open until {@link end}. */
  onHalfClose: (this: StreamCall) => void = ignore;
  /** The call is over, whoever ended it. Called once. */
  onClose: (this: StreamCall) => void = ignore;
  readonly #stream: CallStream;
  readonly #connection: StreamConnection;
  readonly #reader: MessageReader;
  #ended = false;
  #finished = false;
  #trailers = NO_TRAILERS;
  #lastWords: NodeJS.Timeout | undefined;

  /** Node calls them with the stream as `this`. */
  static readonly #on = {
    data(this: CallStream, chunk: Buffer): void {
      this[CALL].#receive(chunk);
    },
    drain(this: CallStream): void {
      const call = this[CALL];
      call.run(() => call.onDrain());
    },
    end(this: CallStream): void {
      const call = this[CALL];
      call.run(() => call.onHalfClose());
    },
    aborted(this: CallStream): void {
      this[CALL].#finish();
    },
    close(this: CallStream): void {
      const call = this[CALL];
      clearTimeout(call.#lastWords);
      call.#finish();
      call.#connection.ended(call);
    },
    wantTrailers(this: CallStream): void {
      this.sendTrailers(this[CALL].#trailers);
      // What the peer still sends is not read. In this turn the reset would overtake the trailers.
      if (!this.readableEnded) setImmediate(() => this.close(constants.NGHTTP2_NO_ERROR));
    },
  };

  constructor(stream: ServerHttp2Stream, connection: StreamConnection) {
    this.#stream = stream as CallStream;
    this.#connection = connection;
    this.peer = connection.peer;
    this.#reader = new MessageReader(connection.limits.maxMessageBytes);
    this.#stream[CALL] = this;
    stream.on("data", StreamCall.#on.data);
    stream.on("drain", StreamCall.#on.drain);
    stream.on("end", StreamCall.#on.end);
    stream.on("aborted", StreamCall.#on.aborted);
    stream.on("close", StreamCall.#on.close);
  }

  /** True when nothing can be written any more. */
  get ended(): boolean {
    return this.#ended || this.#finished;
  }

  /** Bytes that were written and that the peer has not taken. */
  get bufferedBytes(): number {
    return this.#stream.writableLength;
  }

  /**
   * Sends one message, the bytes of `first` and `rest`. `rest` may be shared between calls: it is not copied, and not to be changed.
   * @returns false when the buffer is full: wait for {@link onDrain}
   */
  write(first: Uint8Array, rest?: Uint8Array): boolean {
    if (this.ended) return false;
    this.#respond();
    if (rest === undefined || rest.length === 0) return this.#stream.write(prefixed(first));
    // Both in one system call.
    this.#stream.cork();
    this.#stream.write(prefixed(first, rest.length));
    const more = this.#stream.write(rest);
    this.#stream.uncork();
    return more;
  }

  /** Ends the call; what was written before goes out first. */
  end(status: Status, message = ""): void {
    if (this.ended) return;
    this.#ended = true;
    const stream = this.#stream;
    this.#trailers = {
      "grpc-status": String(status),
      ...(message === "" ? {} : { "grpc-message": percentEncoded(message) }),
    };
    if (stream.destroyed) {
      // Its close is on the way.
    } else if (stream.headersSent) {
      stream.end();
      this.#lastWords = setTimeout(() => stream.close(constants.NGHTTP2_CANCEL), LAST_WORDS_MS).unref();
    } else {
      stream.respond({ ...HEADERS, ...this.#trailers }, { endStream: true });
      if (!stream.readableEnded) stream.close(constants.NGHTTP2_NO_ERROR);
    }
    this.#finish();
  }

  #respond(): void {
    if (this.#stream.headersSent) return;
    this.#stream.on("wantTrailers", StreamCall.#on.wantTrailers);
    this.#stream.respond(HEADERS, { waitForTrailers: true });
  }

  /** Does work on this call, if it is open. A CallError ends it with its status; a mistake in the work ends this call, not the process. */
  run(work: () => void): void {
    if (this.ended) return;
    try {
      work();
    } catch (error) {
      if (!(error instanceof CallError)) this.#connection.limits.onFailure(error);
      const { status, message } = error instanceof CallError ? error : INTERNAL;
      this.end(status, message);
    }
  }

  #receive(chunk: Buffer): void {
    this.run(() => {
      for (const message of this.#reader.read(chunk)) {
        if (this.ended) return;
        this.onMessage(message);
      }
    });
  }

  #finish(): void {
    if (this.#finished) return;
    this.#finished = true;
    this.onClose();
  }
}

function ignore(): void {}
