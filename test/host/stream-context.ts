/**
 * The context of one HTTP stream, with the rules of Envoy's Wasm filter about which maps and buffers exist when.
 *
 * Headers are reachable from their callback until the filter lets them go by returning Continue, or until
 * continue_stream (which drops every request pointer, also when the response is resumed). A dead VM answers 503.
 */
import { BufferType, DataStatus, HeadersStatus, MapType, StreamType, TrailersStatus } from "./abi.ts";
import type { ByteBuffer } from "./buffers.ts";
import { Context, deliveredMap, type LocalReply, type RootContext } from "./context.ts";
import type { HeaderMap } from "./header-map.ts";
import type { Vm } from "./vm.ts";

export type Way = "request" | "response";

/** What the context needs of its stream. */
export interface StreamPort {
  hold(way: Way, data: ByteBuffer): void;
  held(way: Way): ByteBuffer | undefined;
  addTrailers(way: Way): HeaderMap;
  routeCleared(): void;
  resume(way: Way): void;
  reset(details: string): void;
  reply(reply: LocalReply): void;
  property(path: readonly string[], context: StreamContext): Uint8Array | undefined;
  setProperty(path: string, value: Uint8Array): boolean;
}

interface Side {
  headers?: HeaderMap | undefined;
  body?: ByteBuffer | undefined;
  trailers?: HeaderMap | undefined;
  buffering: boolean;
}

export interface StreamRules {
  allowOnHeadersStopIteration: boolean;
  /** The deprecated fail_open: streams of a dead VM pass untouched, also the one that killed it. */
  failOpen: boolean;
}

export class StreamContext extends Context {
  readonly sides: Record<Way, Side> = { request: { buffering: false }, response: { buffering: false } };
  /** Maps that are readable during proxy_on_log. */
  logMaps: Partial<Record<number, HeaderMap | undefined>> | undefined;
  readonly #root: RootContext;
  readonly #stream: StreamPort;
  readonly #rules: StreamRules;
  #endOfStream = false;
  #failed = false;
  #destroyed = false;

  constructor(vm: Vm, root: RootContext, stream: StreamPort, rules: StreamRules) {
    super(vm, vm.nextContextId());
    [this.#root, this.#stream, this.#rules] = [root, stream, rules];
  }

  get root(): RootContext {
    return this.#root;
  }

  #create(): void {
    if (this.created) return;
    this.vm.invoke(this, "proxy_on_context_create", this.id, this.root.id);
    this.created = true;
  }

  /** Answers 503 once when the VM is dead. */
  #dead(): boolean {
    if (!this.vm.failure) return false;
    if (!this.#rules.failOpen && !this.#failed) {
      this.#failed = true;
      this.#stream.reply({
        status: 503,
        headers: [],
        body: new Uint8Array(),
        details: "wasm_fail_stream",
        grpcStatus: 14,
      });
    }
    return true;
  }

  #skips(way: Way): boolean {
    return !this.created || (way === "response" && this.#failed);
  }

  #callback(name: string, stop: number, convert: (result: number) => number, ...args: number[]): number {
    const closed = this.#rules.failOpen ? 0 : stop;
    if (this.#dead()) return closed;
    const result = this.vm.call(this, name, this.id, ...args);
    const status = this.#dead() ? closed : result === undefined ? 0 : convert(result);
    this.vm.settle();
    return status;
  }

  onHeaders(way: Way, map: HeaderMap, endOfStream: boolean): number {
    if (way === "request") this.#create();
    if (this.#skips(way)) return HeadersStatus.Continue;
    const side = this.sides[way];
    side.headers = map;
    this.#endOfStream = endOfStream;
    const convert = (result: number): number => {
      if (this.vm.iterationStopped || result > HeadersStatus.StopAllIterationAndWatermark)
        return HeadersStatus.StopAllIterationAndWatermark;
      if (result === HeadersStatus.StopIteration && !this.#rules.allowOnHeadersStopIteration)
        return HeadersStatus.StopAllIterationAndWatermark;
      return result === HeadersStatus.ContinueAndEndStream ? HeadersStatus.Continue : result;
    };
    const status = this.#callback(
      `proxy_on_${way}_headers`,
      HeadersStatus.StopAllIterationAndWatermark,
      convert,
      map.size,
      Number(endOfStream),
    );
    if (status === HeadersStatus.Continue) side.headers = undefined;
    return status;
  }

  onData(way: Way, data: ByteBuffer, endOfStream: boolean): number {
    if (this.#skips(way)) return DataStatus.Continue;
    const side = this.sides[way];
    if (side.buffering) {
      this.#stream.hold(way, data);
      // The limit was exceeded, the stream has been answered and is gone.
      if (this.#destroyed) return DataStatus.StopIterationAndBuffer;
    }
    side.body = data;
    this.#endOfStream = endOfStream;
    const size = this.body(way === "request" ? BufferType.HttpRequestBody : BufferType.HttpResponseBody)?.length ?? 0;
    const convert = (result: number): number =>
      this.vm.iterationStopped || result > DataStatus.StopIterationNoBuffer ? DataStatus.StopIterationNoBuffer : result;
    const status = this.#callback(
      `proxy_on_${way}_body`,
      DataStatus.StopIterationNoBuffer,
      convert,
      size,
      Number(endOfStream),
    );
    side.buffering = status === DataStatus.StopIterationAndBuffer;
    if (status === DataStatus.Continue) side.body = undefined;
    return status;
  }

  onTrailers(way: Way, map: HeaderMap): number {
    if (this.#skips(way)) return TrailersStatus.Continue;
    const side = this.sides[way];
    side.trailers = map;
    const convert = (result: number): number =>
      this.vm.iterationStopped || result > TrailersStatus.StopIteration ? TrailersStatus.StopIteration : result;
    const status = this.#callback(`proxy_on_${way}_trailers`, TrailersStatus.StopIteration, convert, map.size);
    if (status === TrailersStatus.Continue) side.trailers = undefined;
    return status;
  }

  onLog(maps: Partial<Record<number, HeaderMap | undefined>>): void {
    this.#create();
    this.logMaps = maps;
    this.vm.invoke(this, "proxy_on_log", this.id);
    this.logMaps = undefined;
  }

  onDestroy(): void {
    if (this.#destroyed || !this.created) return;
    this.#destroyed = true;
    this.vm.invoke(this, "proxy_on_done", this.id);
    this.vm.invoke(this, "proxy_on_delete", this.id);
  }

  /** After the end of the stream: the id means nothing to the host any more. */
  forget(): void {
    this.vm.contexts.delete(this.id);
  }

  override get logging(): boolean {
    return this.logMaps !== undefined;
  }

  override headerMap(type: number, forWriting: boolean): HeaderMap | undefined {
    const { request, response } = this.sides;
    if (!forWriting && this.logMaps && type <= MapType.ResponseTrailers) return this.logMaps[type];
    switch (type) {
      case MapType.RequestHeaders:
        return request.headers;
      case MapType.ResponseHeaders:
        return response.headers;
      case MapType.RequestTrailers:
      case MapType.ResponseTrailers: {
        const way = type === MapType.RequestTrailers ? "request" : "response";
        const side = this.sides[way];
        // Asking for absent trailers in the last data callback adds them.
        if (forWriting && !side.trailers && side.body && this.#endOfStream)
          side.trailers = this.#stream.addTrailers(way);
        return side.trailers;
      }
      default:
        return forWriting ? undefined : deliveredMap(this.root, type);
    }
  }

  override headersModified(type: number): void {
    if (type === MapType.RequestHeaders) this.#stream.routeCleared();
  }

  override body(type: number): ByteBuffer | undefined {
    const way: Way = type === BufferType.HttpRequestBody ? "request" : "response";
    return this.sides[way].buffering ? this.#stream.held(way) : this.sides[way].body;
  }

  override property(path: readonly string[]): Uint8Array | undefined {
    return this.#stream.property(path, this);
  }
  override setProperty(path: string, value: Uint8Array): boolean {
    return this.#stream.setProperty(path, value);
  }

  override resume(type: number): void {
    if (type > StreamType.Response) return;
    this.vm.afterCall(() => this.#stream.resume(type === StreamType.Request ? "request" : "response"));
    const { request } = this.sides;
    [request.headers, request.body, request.trailers] = [undefined, undefined, undefined];
  }
  override close(type: number): void {
    if (type <= StreamType.Response) this.vm.afterCall(() => this.#stream.reset("wasm_close_stream"));
  }
  override reply(reply: LocalReply): void {
    this.vm.afterCall(() => this.#stream.reply(reply));
  }
}
