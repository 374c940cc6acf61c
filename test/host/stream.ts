/**
 * One HTTP request and its response through one filter: what a test drives and looks at.
 *
 * The test plays client and upstream; between them stands Envoy's filter manager. After each step everything that Envoy
 * would do at once (deferred actions, local replies, posted events) has happened.
 */
import { bodyOf, MapType } from "./abi.ts";
import type { ByteBuffer } from "./buffers.ts";
import type { LocalReply } from "./context.ts";
import type { LogRecord } from "./environment.ts";
import { Direction, type Outlet } from "./filter-manager.ts";
import { type HeaderInput, HeaderMap } from "./header-map.ts";
import { type Attributes, type AttributeValue, serializeAttribute, streamAttribute } from "./properties.ts";
import type { StreamContext, StreamPort, Way } from "./stream-context.ts";
import type { TraceEntry } from "./trace.ts";

export interface StreamHost {
  readonly bufferLimitBytes: number;
  readonly attributes: Attributes;
  elapsedMs(): number;
  realtimeNs(): bigint;
  /** Runs what was posted during the last step. */
  turn(): void;
  logsOf(context: StreamContext): LogRecord[];
  /** The stream lets go of its plugin, which may finish draining. */
  release(): void;
}

export interface FrameOptions {
  endOfStream?: boolean;
}

let connections = 0;

export class Stream implements StreamPort {
  /** Absent when FAIL_OPEN left the filter out. */
  readonly context: StreamContext | undefined;
  readonly request: Direction;
  readonly response: Direction;
  /** The answer that Envoy or the filter made without the upstream. */
  localReply: { status: number; details: string; headers: HeaderMap; body: Uint8Array } | undefined;
  /** Details of a reset, when the stream was cut off. */
  resetDetails: string | undefined;
  ended = false;
  /** How often the filter made Envoy pick the route again. */
  routeClears = 0;
  /** Calls that a real Envoy answers with an assertion or a crash. */
  readonly misuses: string[] = [];
  readonly attributes: Attributes = new Map();
  readonly #host: StreamHost;
  /** Filter state: of an attempt, that of the request which it is made for. */
  readonly #state: Map<string, Uint8Array>;
  readonly #startMs: number;
  readonly #startNs: bigint;
  readonly #connectionId = ++connections;
  #pendingReply: LocalReply | undefined;

  constructor(host: StreamHost, makeContext: ((stream: StreamPort) => StreamContext) | undefined, attemptOf?: Stream) {
    this.#host = host;
    this.#state = attemptOf ? attemptOf.#state : new Map();
    this.#startMs = host.elapsedMs();
    this.#startNs = host.realtimeNs();
    const context = makeContext?.(this);
    this.context = context;
    const direction = (way: Way): Direction =>
      new Direction(
        context && {
          headers: (map, end) => context.onHeaders(way, map, end),
          data: (data, end) => context.onData(way, data, end),
          trailers: (map) => context.onTrailers(way, map),
        },
        host.bufferLimitBytes,
        {
          overflow: () => this.#overflow(way),
          ended: () => way === "response" && this.#finish(),
          unwound: () => this.#sendPendingReply(),
        },
      );
    this.request = direction("request");
    this.response = direction("response");
  }

  /** What the upstream received. */
  get upstream(): Outlet {
    return this.request.outlet;
  }
  /** What the client received. */
  get downstream(): Outlet {
    return this.response.outlet;
  }
  get paused(): { request: boolean; response: boolean } {
    return { request: !this.ended && this.request.paused, response: !this.ended && this.response.paused };
  }
  /** Number of hostcalls made for this stream, log calls included. */
  get hostcalls(): number {
    return this.context?.trace.count ?? 0;
  }
  get trace(): TraceEntry[] {
    return this.context?.trace.entries ?? [];
  }
  get logs(): LogRecord[] {
    return this.context ? this.#host.logsOf(this.context) : [];
  }

  /** A map is taken as it is and changed by the filter, as the one map that all attempts of a request share. */
  requestHeaders(headers: HeaderInput | HeaderMap, { endOfStream = false }: FrameOptions = {}): this {
    const map = headers instanceof HeaderMap ? headers : new HeaderMap(headers);
    return this.#step(() => this.request.startHeaders(map, endOfStream));
  }
  requestBody(chunk: Uint8Array | string, { endOfStream = false }: FrameOptions = {}): this {
    return this.#step(() => this.request.receiveData(bodyOf(chunk), endOfStream));
  }
  requestTrailers(trailers: HeaderInput): this {
    return this.#step(() => this.request.receiveTrailers(new HeaderMap(trailers, "trailers")));
  }
  responseHeaders(headers: HeaderInput, { endOfStream = false }: FrameOptions = {}): this {
    return this.#step(() => this.response.startHeaders(new HeaderMap(headers, "response"), endOfStream));
  }
  responseBody(chunk: Uint8Array | string, { endOfStream = false }: FrameOptions = {}): this {
    return this.#step(() => this.response.receiveData(bodyOf(chunk), endOfStream));
  }
  responseTrailers(trailers: HeaderInput): this {
    return this.#step(() => this.response.receiveTrailers(new HeaderMap(trailers, "trailers")));
  }

  /** The client goes away: end of the stream whatever its state. Does nothing after a complete response. */
  end(): this {
    if (!this.ended && !this.downstream.ended) this.resetDetails ??= "downstream_remote_disconnect";
    return this.#step(() => this.#finish(), true);
  }

  /** Filter state as access logs see it, `%FILTER_STATE(wasm.<path>:PLAIN)%`. */
  filterState(path: string): Uint8Array | undefined {
    return this.#state.get(path);
  }

  setAttribute(path: string, value: AttributeValue): this {
    this.attributes.set(path, value);
    return this;
  }

  #step(action: () => void, evenIfEnded = false): this {
    if (!this.ended || evenIfEnded) action();
    this.#host.turn();
    return this;
  }

  #overflow(way: Way): void {
    const tooLarge = { headers: [], grpcStatus: undefined };
    if (way === "request") {
      this.reply({ ...tooLarge, status: 413, body: bodyOf("Payload Too Large"), details: "request_payload_too_large" });
    } else
      this.reply({
        ...tooLarge,
        status: 500,
        body: bodyOf("Internal Server Error"),
        details: "response_payload_too_large",
      });
  }

  /** Log, done, delete: the order of Envoy, which is not that of the specification. */
  #finish(): void {
    if (this.ended) return;
    this.ended = true;
    this.request.aborted = true;
    this.response.aborted = true;
    if (this.context) {
      this.context.onLog({
        [MapType.RequestHeaders]: this.request.headers,
        [MapType.ResponseHeaders]: this.response.outlet.headers,
        [MapType.ResponseTrailers]: this.response.outlet.trailers,
      });
      this.context.onDestroy();
      this.context.forget();
    }
    this.#host.release();
  }

  // What the context asks of the stream.

  hold(way: Way, data: ByteBuffer): void {
    this[way].hold(data);
  }
  held(way: Way): ByteBuffer | undefined {
    return this[way].held;
  }
  addTrailers(way: Way): HeaderMap {
    const map = new HeaderMap([], "trailers");
    this[way].addTrailers(map);
    return map;
  }
  routeCleared(): void {
    this.routeClears++;
  }

  resume(way: Way): void {
    if (this.ended) return;
    if (!this[way].resume()) this.misuses.push(`continue_stream(${way}) while the ${way} is not paused`);
  }

  reset(details: string): void {
    if (this.ended) return;
    this.resetDetails = details;
    this.#finish();
  }

  reply(reply: LocalReply): void {
    if (this.ended) return;
    if (this.response.headers) {
      // The response has begun: before its headers went out it is replaced without the filter, later it is cut off.
      if (this.response.headersContinued) {
        this.reset(reply.details);
        return;
      }
      this.response.aborted = true;
      const { headers, body } = this.#compose(reply);
      this.downstream.headers = headers;
      if (body.length > 0) this.downstream.add(body);
      this.downstream.ended = true;
      this.#finish();
      return;
    }
    this.request.aborted = true;
    this.#pendingReply ??= reply;
    if (this.request.calling === 0) this.#sendPendingReply();
  }

  /** Headers and body of a reply as Envoy writes them: the filter's headers are added to Envoy's own. */
  #compose(reply: LocalReply): { headers: HeaderMap; body: Uint8Array } {
    const isGrpc = this.request.headers?.get("content-type")?.startsWith("application/grpc") ?? false;
    const headers = new HeaderMap({ ":status": isGrpc ? "200" : String(reply.status) }, "response");
    for (const [name, value] of reply.headers) headers.add(name, value);
    let body = reply.body;
    if (isGrpc) {
      headers.replace("content-type", "application/grpc");
      headers.replace("grpc-status", String(reply.grpcStatus ?? 2));
      if (body.length > 0) headers.replace("grpc-message", new TextDecoder().decode(body));
      body = new Uint8Array();
    } else if (body.length > 0) {
      headers.replace("content-length", String(body.length));
      if (!headers.has("content-type")) headers.add("content-type", "text/plain");
    } else {
      headers.remove("content-length");
      headers.remove("content-type");
    }
    if (this.request.headers?.get(":method") === "HEAD") body = new Uint8Array();
    this.localReply = { status: reply.status, details: reply.details, headers, body };
    return { headers, body };
  }

  /** A reply made inside a request callback goes out when that callback has returned, through the response callbacks. */
  #sendPendingReply(): void {
    const reply = this.#pendingReply;
    if (!reply || this.request.calling > 0) return;
    this.#pendingReply = undefined;
    const { headers, body } = this.#compose(reply);
    this.response.startHeaders(headers, body.length === 0);
    if (body.length > 0) this.response.receiveData(body, true);
  }

  property(path: readonly string[], context: StreamContext): Uint8Array | undefined {
    const dotted = path.join(".");
    const value =
      this.attributes.get(dotted) ??
      this.#host.attributes.get(dotted) ??
      streamAttribute(path, context, {
        request: this.request,
        response: this.response,
        clientAddress: "127.0.0.1:50000",
        localAddress: "127.0.0.1:8080",
        connectionId: this.#connectionId,
        elapsedMs: this.#host.elapsedMs() - this.#startMs,
        startNs: this.#startNs,
        ended: this.ended,
        responseCodeDetails: this.localReply?.details ?? (this.response.headers ? "via_upstream" : undefined),
      });
    if (value !== undefined) return serializeAttribute(value);
    return context.root.property(path) ?? (path.length === 1 ? this.#state.get(dotted) : undefined);
  }

  /** Filter state under "wasm.<path>". */
  setProperty(path: string, value: Uint8Array): boolean {
    this.#state.set(path, value);
    return true;
  }
}
