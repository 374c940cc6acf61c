/**
 * What a filter implements: a RootContext per plugin configuration and a stream context per HTTP request or TCP connection.
 *
 * Several plugins can share one VM and a configuration update adds a second root beside the draining one, so nothing about
 * a configuration may live outside its root. Stream contexts are pooled per root and reused: set every field in `onCreate`.
 * At the end Envoy calls `onLog`, `onDone`, `onDelete`, in this order; after a client abort maybe only some of them, and
 * `onDelete` always.
 */
import { Action, FilterDataStatus, FilterHeadersStatus, FilterTrailersStatus, PeerType, Status } from "./abi";
import { Bytes } from "./bytes";
import { callouts } from "./callouts";
import { grpc } from "./hostcalls/grpc";
import { httpCall } from "./hostcalls/http-call";
import { PairsWriter } from "./writer";

export const enum ContextKind {
  Root = 0,
  Http = 1,
  Tcp = 2,
}

/** What every context has: an id, callouts, and the end of its life. */
export abstract class Context {
  /** Context id of the host; unique among the live contexts of this VM. */
  id: u32 = 0;

  constructor(readonly kind: ContextKind) {}

  /** False postpones the end until `stream.done()`. */
  onDone(): bool {
    return true;
  }

  onDelete(): void {}

  /**
   * Starts an HTTP callout whose answer comes to this context's `onHttpCallResponse`, or to nobody when the context has ended.
   * Ends in `BadArgument` for an unknown cluster or missing pseudo-headers.
   */
  httpCall(cluster: Bytes, headers: PairsWriter, body: Bytes, trailers: PairsWriter, timeout: i32): Status {
    const status = httpCall.send(cluster, headers, body, trailers, timeout);
    if (status == Status.Ok) callouts.expectHttp(httpCall.lastId(), this.id);
    return status;
  }

  /** Envoy answers a refused connection with a 503 of its own and a time-out with a 504; `headerCount` 0 means a reset. */
  onHttpCallResponse(callId: u32, headerCount: i32, bodySize: i32, trailerCount: i32): void {}

  /** Starts a unary gRPC call; answer in `onGrpcReceive` or, when it failed, `onGrpcClose`. */
  grpcCall(cluster: Bytes, service: Bytes, method: Bytes, metadata: PairsWriter, message: Bytes, timeout: i32): Status {
    const status = grpc.call(cluster, service, method, metadata, message, timeout);
    if (status == Status.Ok) callouts.expectGrpc(grpc.lastId(), this.id, true);
    return status;
  }

  grpcStream(cluster: Bytes, service: Bytes, method: Bytes, metadata: PairsWriter): Status {
    const status = grpc.open(cluster, service, method, metadata);
    if (status == Status.Ok) callouts.expectGrpc(grpc.lastId(), this.id, false);
    return status;
  }

  /** Resets a call or stream of this context: nothing more comes of it. */
  grpcCancel(callId: u32): void {
    grpc.cancel(callId);
    callouts.takeGrpc(callId);
  }

  onGrpcReceiveInitialMetadata(callId: u32, count: i32): void {}
  onGrpcReceive(callId: u32, messageSize: i32): void {}
  onGrpcReceiveTrailingMetadata(callId: u32, count: i32): void {}
  onGrpcClose(callId: u32, grpcStatus: i32): void {}
  onForeignFunction(functionId: u32, argumentsSize: i32): void {}
}

export abstract class RootContext extends Context {
  /** Ended stream contexts, for reuse. */
  readonly pool: StreamContext[] = [];

  constructor() {
    super(ContextKind.Root);
  }

  /** Called for every root, not once per VM. */
  onVmStart(configurationSize: i32): bool {
    return true;
  }

  /** False refuses the configuration: at start Envoy exits, by xDS the update is NACKed. Say why in an error log. */
  onConfigure(configurationSize: i32): bool {
    return true;
  }

  onTick(): void {}
  onQueueReady(queueId: u32): void {}

  /** A new stream context; called only when the pool is empty. */
  abstract createStream(): StreamContext;
}

export abstract class StreamContext extends Context {
  constructor(
    readonly parent: RootContext,
    kind: ContextKind,
  ) {
    super(kind);
  }

  /** A new stream begins in this (maybe reused) object. */
  onCreate(): void {}

  /** This object is not used again: memory that the collector does not know (`heap.alloc`, `ByteWriter`) is to be given back. */
  release(): void {}

  onLog(): void {}
}

/** One HTTP request and its response. Each callback runs only if the module exports it (see `exports/http.ts`). */
export abstract class HttpContext extends StreamContext {
  constructor(parent: RootContext) {
    super(parent, ContextKind.Http);
  }

  onRequestHeaders(count: i32, endOfStream: bool): FilterHeadersStatus {
    return FilterHeadersStatus.Continue;
  }

  /** `size` is all that is buffered so far while the body is held, else the size of this chunk. */
  onRequestBody(size: i32, endOfStream: bool): FilterDataStatus {
    return FilterDataStatus.Continue;
  }

  onRequestTrailers(count: i32): FilterTrailersStatus {
    return FilterTrailersStatus.Continue;
  }

  /** Also runs for local replies, this filter's own included. */
  onResponseHeaders(count: i32, endOfStream: bool): FilterHeadersStatus {
    return FilterHeadersStatus.Continue;
  }

  onResponseBody(size: i32, endOfStream: bool): FilterDataStatus {
    return FilterDataStatus.Continue;
  }

  onResponseTrailers(count: i32): FilterTrailersStatus {
    return FilterTrailersStatus.Continue;
  }
}

/** One TCP connection. */
export abstract class TcpContext extends StreamContext {
  constructor(parent: RootContext) {
    super(parent, ContextKind.Tcp);
  }

  onNewConnection(): Action {
    return Action.Continue;
  }

  onDownstreamData(size: i32, endOfStream: bool): Action {
    return Action.Continue;
  }

  onUpstreamData(size: i32, endOfStream: bool): Action {
    return Action.Continue;
  }

  onDownstreamClose(peer: PeerType): void {}
  onUpstreamClose(peer: PeerType): void {}
}
