/**
 * One direction of Envoy's filter manager with a single filter and an outlet behind it (the router, or the client).
 *
 *   headers -> filter -> outlet       Continue passes on; StopIteration holds the headers and still shows the filter data;
 *   data    -> filter -> outlet       StopAll* holds everything until continue_stream, then replays held data to the filter.
 *   trailers-> filter -> outlet
 *
 * What the filter stops with StopIterationAndBuffer gathers in `held`, up to the limit. Source of the rules:
 * envoy source/common/http/filter_manager.cc (commonHandleAfter*Callback, commonContinue).
 */
import { DataStatus, HeadersStatus, TrailersStatus } from "./abi.ts";
import { ByteBuffer } from "./buffers.ts";
import type { HeaderMap } from "./header-map.ts";

export interface DirectionFilter {
  headers(map: HeaderMap, endOfStream: boolean): number;
  data(buffer: ByteBuffer, endOfStream: boolean): number;
  trailers(map: HeaderMap): number;
}

/** What came out behind the filter. */
export class Outlet {
  headers: HeaderMap | undefined;
  trailers: HeaderMap | undefined;
  ended = false;
  readonly #body = new ByteBuffer();
  /** Sizes of the data frames as they came. */
  readonly frames: number[] = [];

  add(bytes: Uint8Array): void {
    this.frames.push(bytes.length);
    this.#body.append(bytes);
  }
  get body(): Uint8Array {
    return this.#body.bytes();
  }
  get text(): string {
    return new TextDecoder().decode(this.#body.view());
  }
}

export interface DirectionEvents {
  overflow(): void;
  ended(): void;
  /** After a filter callback has returned to the filter manager: a local reply that waited for this may go out. */
  unwound(): void;
}

type Iteration = "continue" | "stopSingle" | "stopAll";

export class Direction {
  readonly outlet = new Outlet();
  headers: HeaderMap | undefined;
  trailers: HeaderMap | undefined;
  held: ByteBuffer | undefined;
  /** Body bytes received so far, whatever became of them. */
  received = 0;
  /** Depth of filter callbacks under way. */
  calling = 0;
  /** A local reply ended this direction: nothing is shown to the filter or passed on any more. */
  aborted = false;
  headersContinued = false;
  #iteration: Iteration = "continue";
  #endSeen = false;
  #streaming = false;
  #unread: [Uint8Array, boolean][] = [];
  readonly #filter: DirectionFilter | undefined;
  readonly #limit: number;
  readonly #events: DirectionEvents;

  constructor(filter: DirectionFilter | undefined, limit: number, events: DirectionEvents) {
    [this.#filter, this.#limit, this.#events] = [filter, limit, events];
  }

  get paused(): boolean {
    return this.#iteration !== "continue";
  }
  get endSeen(): boolean {
    return this.#endSeen;
  }
  /** Over the limit while held back by watermark: Envoy stops reading from the peer. */
  get blocked(): boolean {
    return this.#streaming && this.paused && (this.held?.length ?? 0) > this.#limit;
  }

  startHeaders(map: HeaderMap, endOfStream: boolean): void {
    this.headers = map;
    this.#endSeen = endOfStream;
    const status = this.#filter ? this.#run((filter) => filter.headers(map, endOfStream)) : HeadersStatus.Continue;
    if (this.aborted) {
      this.#events.unwound();
      return;
    }
    if (status === HeadersStatus.Continue) {
      this.headersContinued = true;
      this.#passHeaders(endOfStream);
    } else if (status === HeadersStatus.StopIteration) this.#iteration = "stopSingle";
    else {
      this.#iteration = "stopAll";
      this.#streaming = status === HeadersStatus.StopAllIterationAndWatermark;
    }
    this.#events.unwound();
  }

  receiveData(chunk: Uint8Array, endOfStream: boolean): void {
    if (this.aborted || this.#endSeen) return;
    if (this.blocked || this.#unread.length > 0) {
      this.#unread.push([chunk, endOfStream]);
      return;
    }
    this.#endSeen = endOfStream;
    this.received += chunk.length;
    const data = new ByteBuffer(chunk);
    if (this.#iteration === "stopAll") this.#hold(data);
    else this.#show(data, endOfStream);
  }

  receiveTrailers(map: HeaderMap): void {
    if (this.aborted || this.#endSeen) return;
    this.#endSeen = true;
    this.trailers = map;
    if (this.#iteration !== "stopAll") this.#showTrailers(map);
  }

  /** addDecodedData from inside a data callback: joins what is held. */
  hold(data: ByteBuffer): void {
    this.#streaming = false;
    this.#hold(data);
  }

  /** The filter adds trailers to a message that has none, during its last data callback. */
  addTrailers(map: HeaderMap): void {
    this.trailers = map;
  }

  /** continue_stream. False when the direction is not paused: Envoy asserts on that. */
  resume(): boolean {
    if (this.aborted) return true;
    if (this.#iteration === "continue") return false;
    const fromFilter = this.#iteration === "stopAll";
    this.#iteration = "continue";
    if (!this.headersContinued && this.headers) {
      this.headersContinued = true;
      this.#passHeaders(this.#endSeen && !this.held && !this.trailers);
    }
    const { held, trailers } = this;
    const end = this.#endSeen && !trailers;
    if (held) {
      if (fromFilter && this.#filter) this.#show(held, end);
      else {
        this.held = undefined;
        this.#pass(held, end);
      }
    }
    if (trailers && !this.aborted) {
      if (fromFilter && this.#filter) this.#showTrailers(trailers);
      else this.#passTrailers(trailers);
    }
    this.#readOn();
    return true;
  }

  #readOn(): void {
    while (!this.blocked) {
      const next = this.#unread.shift();
      if (!next) break;
      const rest = this.#unread;
      this.#unread = [];
      this.receiveData(...next);
      this.#unread.push(...rest);
    }
  }

  #run(callback: (filter: DirectionFilter) => number): number {
    if (!this.#filter) return 0;
    this.calling++;
    try {
      return callback(this.#filter);
    } finally {
      this.calling--;
    }
  }

  #show(data: ByteBuffer, endOfStream: boolean): void {
    const status = this.#run((filter) => filter.data(data, endOfStream));
    if (this.aborted) {
      this.#events.unwound();
      return;
    }
    if (status === DataStatus.Continue) {
      if (this.#iteration === "stopSingle") {
        this.#hold(data);
        if (!this.aborted) this.resume();
      } else {
        if (data === this.held) this.held = undefined;
        this.#pass(data, endOfStream && !this.trailers);
        if (this.trailers && endOfStream) this.#passTrailers(this.trailers);
      }
    } else {
      this.#iteration = "stopSingle";
      if (status === DataStatus.StopIterationNoBuffer) {
        // The frame is dropped; an empty one is kept at the end so that a later continue can end the message.
        if (data === this.held) data.clear();
        if (this.#endSeen && !this.trailers) this.held ??= new ByteBuffer();
      } else {
        this.#streaming = status === DataStatus.StopIterationAndWatermark;
        this.#hold(data);
      }
    }
    this.#events.unwound();
  }

  #showTrailers(map: HeaderMap): void {
    const status = this.#run((filter) => filter.trailers(map));
    if (this.aborted) {
      this.#events.unwound();
      return;
    }
    if (status === TrailersStatus.StopIteration) {
      if (this.#iteration === "continue") this.#iteration = "stopSingle";
    } else if (this.#iteration === "stopSingle") this.resume();
    else this.#passTrailers(map);
    this.#events.unwound();
  }

  #hold(data: ByteBuffer): void {
    if (data === this.held) return;
    this.held ??= new ByteBuffer();
    this.held.moveFrom(data);
    if (this.held.length > this.#limit && !this.#streaming) this.#events.overflow();
  }

  #passHeaders(endOfStream: boolean): void {
    // A copy: what the filter writes later is too late for the other side.
    this.outlet.headers = this.headers?.clone();
    if (endOfStream) this.#finish();
  }

  #pass(data: ByteBuffer, endOfStream: boolean): void {
    this.outlet.add(data.bytes());
    data.clear();
    if (endOfStream) this.#finish();
  }

  #passTrailers(map: HeaderMap): void {
    if (this.outlet.ended) return;
    this.outlet.trailers = map;
    this.#finish();
  }

  #finish(): void {
    if (this.outlet.ended) return;
    this.outlet.ended = true;
    this.#events.ended();
  }
}
