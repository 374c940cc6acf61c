/**
 * HTTP and gRPC callouts. A callout belongs to the root context; its answer arrives on the root, after the current step
 * of the test has left the VM, or later on the virtual clock.
 *
 * Envoy's client answers for an unreachable upstream itself (503, or 504 after the timeout); an answer without headers
 * is left for a connection that breaks.
 */
import { bodyOf, Status } from "./abi.ts";
import { ByteBuffer } from "./buffers.ts";
import type { RootContext } from "./context.ts";
import { type HeaderInput, HeaderMap, type Pair } from "./header-map.ts";

export interface HttpAnswer {
  headers?: HeaderInput;
  body?: Uint8Array | string;
  trailers?: HeaderInput;
  delayMs?: number;
}
/** "refuse": no connection; "timeout": never answers; "reset": breaks without an answer; "hold": the test answers by hand. */
export type HttpOutcome = HttpAnswer | "refuse" | "timeout" | "reset" | "hold";

export interface GrpcAnswer {
  initialMetadata?: HeaderInput;
  messages?: readonly (Uint8Array | string)[];
  trailingMetadata?: HeaderInput;
  /** gRPC status code; default 0. */
  status?: number;
  message?: string;
  delayMs?: number;
}
export type GrpcOutcome = GrpcAnswer | "hold";

export class HttpCall {
  readonly root: RootContext;
  readonly token: number;
  readonly cluster: string;
  readonly headers: HeaderMap;
  readonly body: Uint8Array;
  readonly trailers: HeaderMap;
  readonly timeoutMs: number;
  done = false;

  constructor(
    root: RootContext,
    token: number,
    cluster: string,
    headers: HeaderMap,
    body: Uint8Array,
    trailers: HeaderMap,
    timeoutMs: number,
  ) {
    [this.root, this.token, this.cluster, this.headers] = [root, token, cluster, headers];
    [this.body, this.trailers, this.timeoutMs] = [body, trailers, timeoutMs];
  }

  /** Delivers an answer now; ignored when one was delivered before. */
  respond(answer: HttpAnswer | "reset"): void {
    if (this.done) return;
    this.done = true;
    const { root } = this;
    const { vm } = root;
    if (vm.contexts.get(root.id) !== root) return;
    if (answer === "reset") {
      root.status = { code: Status.BrokenConnection, message: "reset" };
      root.httpResponse = undefined;
      vm.call(root, "proxy_on_http_call_response", root.id, this.token, 0, 0, 0);
      root.status = { ...root.status, message: "" };
    } else {
      const headers = new HeaderMap(answer.headers ?? { ":status": "200" }, "response");
      const body = new ByteBuffer(bodyOf(answer.body ?? ""));
      const trailers = answer.trailers ? new HeaderMap(answer.trailers, "trailers") : undefined;
      root.httpResponse = { headers, body, trailers };
      vm.call(root, "proxy_on_http_call_response", root.id, this.token, headers.size, body.length, trailers?.size ?? 0);
      root.httpResponse = undefined;
    }
    vm.settle();
  }
}

export class GrpcCall {
  readonly root: RootContext;
  readonly token: number;
  readonly cluster: string;
  readonly method: string;
  readonly initialMetadata: readonly Pair[];
  readonly isStream: boolean;
  /** Messages sent so far; a call has exactly one. */
  readonly sent: Uint8Array[];
  localClosed = false;
  done = false;

  constructor(
    root: RootContext,
    token: number,
    cluster: string,
    method: string,
    initialMetadata: readonly Pair[],
    first: Uint8Array | undefined,
  ) {
    [this.root, this.token, this.cluster, this.method, this.initialMetadata] = [
      root,
      token,
      cluster,
      method,
      initialMetadata,
    ];
    this.isStream = first === undefined;
    this.sent = first ? [first] : [];
  }

  #deliver(callback: string, argument: number): void {
    const { root } = this;
    if (this.done || root.vm.contexts.get(root.id) !== root) return;
    root.vm.call(root, callback, root.id, this.token, argument);
    root.grpc = undefined;
    root.vm.settle();
  }

  initial(metadata: HeaderInput): void {
    const headers = new HeaderMap(metadata);
    this.root.grpc = { headers };
    this.#deliver("proxy_on_grpc_receive_initial_metadata", headers.size);
  }

  receive(message: Uint8Array | string): void {
    const body = new ByteBuffer(bodyOf(message));
    this.root.grpc = { body };
    this.#deliver("proxy_on_grpc_receive", body.length);
    if (!this.isStream) this.done = true;
  }

  trailing(metadata: HeaderInput): void {
    const trailers = new HeaderMap(metadata);
    this.root.grpc = { trailers };
    this.#deliver("proxy_on_grpc_receive_trailing_metadata", trailers.size);
  }

  close(status: number, message = ""): void {
    this.root.status = { code: status, message };
    this.#deliver("proxy_on_grpc_close", status);
    this.done = true;
  }

  /** A call answers with its message, or with the status when that is not OK; a stream delivers everything. */
  respond(answer: GrpcAnswer): void {
    const status = answer.status ?? 0;
    if (!this.isStream) {
      const first = answer.messages?.[0];
      if (status === 0 && first !== undefined) this.receive(first);
      else this.close(status, answer.message);
      return;
    }
    this.initial(answer.initialMetadata ?? []);
    for (const message of answer.messages ?? []) this.receive(message);
    this.trailing(answer.trailingMetadata ?? []);
    this.close(status, answer.message);
  }
}

/** Calls remembered for inspection; older ones are forgotten, so that a soak test stays small. */
const maxRemembered = 10_000;
function remember<T>(calls: T[], call: T): void {
  if (calls.length >= maxRemembered) calls.splice(0, maxRemembered / 2);
  calls.push(call);
}

type Defer = (delayMs: number, action: () => void) => void;

export class Callouts {
  readonly http: HttpCall[] = [];
  readonly grpc: GrpcCall[] = [];
  readonly #httpClusters = new Map<string, (call: HttpCall) => HttpOutcome>();
  readonly #grpcClusters = new Map<string, (call: GrpcCall) => GrpcOutcome>();
  readonly #defer: Defer;

  constructor(defer: Defer) {
    this.#defer = defer;
  }

  /** Makes a cluster known and says how it answers. */
  onHttpCall(cluster: string, handler: (call: HttpCall) => HttpOutcome): void {
    this.#httpClusters.set(cluster, handler);
  }
  onGrpcCall(cluster: string, handler: (call: GrpcCall) => GrpcOutcome): void {
    this.#grpcClusters.set(cluster, handler);
  }

  knows(cluster: string): boolean {
    return this.#httpClusters.has(cluster) || this.#grpcClusters.has(cluster);
  }

  startHttp(call: HttpCall): void {
    remember(this.http, call);
    const outcome = this.#httpClusters.get(call.cluster)?.(call) ?? "refuse";
    const expire = { headers: { ":status": "504" }, body: "upstream request timeout" };
    if (call.timeoutMs > 0) this.#defer(call.timeoutMs, () => call.respond(expire));
    if (outcome === "hold" || outcome === "timeout") return;
    if (outcome === "refuse")
      this.#defer(0, () => call.respond({ headers: { ":status": "503" }, body: "upstream connect error" }));
    else if (outcome === "reset") this.#defer(0, () => call.respond("reset"));
    else this.#defer(outcome.delayMs ?? 0, () => call.respond(outcome));
  }

  startGrpc(call: GrpcCall, timeoutMs: number): void {
    remember(this.grpc, call);
    const outcome = this.#grpcClusters.get(call.cluster)?.(call) ?? { status: 14, message: "no such cluster" };
    if (timeoutMs > 0) this.#defer(timeoutMs, () => !call.done && call.close(4, "timeout"));
    if (outcome !== "hold") this.#defer(outcome.delayMs ?? 0, () => !call.done && call.respond(outcome));
  }

  findGrpc(root: RootContext, token: number): GrpcCall | undefined {
    return this.grpc.find((call) => call.root === root && call.token === token && !call.done);
  }
}
