/** The public face of a configured plugin: streams on its workers, configuration updates, fail policies. */
import { bodyOf } from "./abi.ts";
import type { PluginIdentity } from "./context.ts";
import { LoadError } from "./engine.ts";
import type { HeaderInput } from "./header-map.ts";
import type { ProxyWasmHost } from "./host.ts";
import { type FailurePolicy, type PluginHandle, retireRoot, startRoot } from "./root-lifecycle.ts";
import { Stream } from "./stream.ts";
import { StreamContext } from "./stream-context.ts";
import type { VmIdentity } from "./vm.ts";

export interface PluginSpec {
  name?: string;
  rootId?: string;
  vmId?: string;
  vmConfig?: string | Uint8Array;
  /** Plugin configuration; objects are sent as JSON text. */
  config?: string | Uint8Array | object;
  failurePolicy?: FailurePolicy;
  /** The deprecated setting, which also lets the trapping request pass. */
  failOpen?: boolean;
  /** Default true, unlike Envoy: a filter under test is normally configured rightly. */
  allowOnHeadersStopIteration?: boolean;
  /** Of the listener; default: that of the host. */
  bufferLimitBytes?: number;
  /** Base interval of FAIL_RELOAD; Envoy's default is one second. */
  reloadBackoffMs?: number;
}

export interface ExchangeRequest {
  headers: HeaderInput;
  /** One chunk, or the chunks as they arrive. */
  body?: Uint8Array | string | readonly (Uint8Array | string)[];
  trailers?: HeaderInput;
  worker?: number;
}
export interface ExchangeResponse {
  headers: HeaderInput;
  body?: Uint8Array | string | readonly (Uint8Array | string)[];
  trailers?: HeaderInput;
}

const chunksOf = (body: ExchangeRequest["body"]): readonly (Uint8Array | string)[] =>
  body === undefined ? [] : typeof body === "string" || body instanceof Uint8Array ? [body] : body;

const configurationOf = (config: PluginSpec["config"] = ""): Uint8Array =>
  typeof config === "string" || config instanceof Uint8Array ? bodyOf(config) : bodyOf(JSON.stringify(config));

export class Plugin {
  readonly name: string;
  readonly host: ProxyWasmHost;
  readonly #spec: PluginSpec;
  readonly #vm: VmIdentity;
  /** By thread: 0 main, then workers. */
  #handles: PluginHandle[];

  constructor(host: ProxyWasmHost, spec: PluginSpec) {
    this.host = host;
    this.#spec = spec;
    this.name = spec.name ?? "plugin";
    this.#vm = host.vmIdentity(spec.vmId ?? "", spec.vmConfig ?? "");
    const identity = this.#identity(spec.config);
    const error = host.tryPlugin(this.#vm, identity, this.#key(identity));
    if (error !== undefined) throw new LoadError(error);
    this.#handles = this.#start(identity);
  }

  #identity(config: PluginSpec["config"]): PluginIdentity {
    return {
      name: this.name,
      rootId: this.#spec.rootId ?? "",
      vmId: this.#vm.vmId,
      configuration: configurationOf(config),
    };
  }

  #key({ rootId, configuration }: PluginIdentity): string {
    return `${rootId}||${Buffer.from(configuration).toString("base64")}||${this.name}`;
  }

  #start(identity: PluginIdentity): PluginHandle[] {
    return Array.from({ length: this.host.options.workers + 1 }, (_, thread) => {
      const vm = this.host.acquireVm(this.#vm, thread);
      const { root } = startRoot(vm, identity);
      return { identity, vm, root, loadedAtMs: this.host.clock.elapsedMs, streams: 0, retired: false };
    });
  }

  /** A new configuration as the control plane would push it. Refused ones leave everything as it was. */
  update(config: PluginSpec["config"]): { accepted: boolean; error?: string } {
    const identity = this.#identity(config);
    const error = this.host.tryPlugin(this.#vm, identity, this.#key(identity));
    this.host.turn();
    if (error !== undefined) return { accepted: false, error };
    const old = this.#handles;
    this.#handles = this.#start(identity);
    for (const handle of old) this.#retire(handle);
    this.host.turn();
    return { accepted: true };
  }

  /** The listener goes away. */
  remove(): void {
    for (const handle of this.#handles) this.#retire(handle);
    this.host.turn();
  }

  #retire(handle: PluginHandle): void {
    handle.retired = true;
    if (handle.streams > 0) return;
    if (handle.root && !handle.vm.failure) retireRoot(handle.root, this.host.pendingDone);
    this.host.releaseVm(handle.vm);
  }

  /** Root context id of a worker's (or, with worker -1, the main thread's) current root. */
  rootId(worker = 0): number {
    return this.#handle(worker).root?.id ?? 0;
  }

  #handle(worker: number): PluginHandle {
    const handle = this.#handles[worker + 1];
    if (!handle) throw new Error(`host: there are ${this.host.options.workers} workers, no worker ${worker}`);
    return handle;
  }

  /** FAIL_RELOAD: at most one try per backoff, counted from the last load. */
  #reload(handle: PluginHandle): void {
    const base = this.#spec.reloadBackoffMs ?? 1000;
    const interval = base + Math.floor(this.host.random() * base * 0.5);
    const now = this.host.clock.elapsedMs;
    if (now - handle.loadedAtMs < interval) {
      this.host.count(`wasm.${this.name}.vm_reload_backoff`);
      return;
    }
    handle.loadedAtMs = now;
    this.host.releaseVm(handle.vm);
    handle.vm = this.host.acquireVm(this.#vm, handle.vm.thread);
    handle.root = startRoot(handle.vm, handle.identity).root;
    this.host.count(`wasm.${this.name}.vm_reload_${handle.vm.failure || !handle.root ? "failure" : "success"}`);
  }

  /**
   * A request on one of the workers (from 0). `attemptOf`: this plugin is an upstream HTTP filter, and the stream is one attempt of that request;
   * both see the same filter state.
   */
  stream({ worker = 0, attemptOf }: { worker?: number; attemptOf?: Stream } = {}): Stream {
    const { host } = this;
    const handle = this.#handle(worker);
    const policy = this.#spec.failurePolicy ?? "FAIL_CLOSED";
    if (handle.vm.failure && policy === "FAIL_RELOAD" && !this.#spec.failOpen) this.#reload(handle);
    const { vm, root } = handle;
    const skipped = (vm.failure || !root) && (policy === "FAIL_OPEN" || this.#spec.failOpen);
    handle.streams++;
    return new Stream(
      {
        bufferLimitBytes: this.#spec.bufferLimitBytes ?? host.options.bufferLimitBytes,
        attributes: host.attributes,
        elapsedMs: () => host.clock.elapsedMs,
        realtimeNs: () => host.clock.realtimeNs,
        turn: () => host.turn(),
        logsOf: (context) => host.logsOf(context),
        release: () => {
          handle.streams--;
          if (handle.retired) this.#retire(handle);
        },
      },
      skipped || !root
        ? undefined
        : (port) =>
            new StreamContext(vm, root, port, {
              allowOnHeadersStopIteration: this.#spec.allowOnHeadersStopIteration ?? true,
              failOpen: this.#spec.failOpen ?? false,
            }),
      attemptOf,
    );
  }

  /**
   * A whole exchange: sends the request, asks `upstream` once all of it came through, sends the answer back.
   * The stream is returned as it is then; it may be paused.
   */
  exchange(
    request: ExchangeRequest,
    upstream: (stream: Stream) => ExchangeResponse = () => ({ headers: { ":status": "200" } }),
  ): Stream {
    const stream = this.stream({ worker: request.worker ?? 0 });
    const send = (message: ExchangeRequest | ExchangeResponse, way: "request" | "response"): void => {
      const chunks = chunksOf(message.body);
      const bare = chunks.length === 0 && !message.trailers;
      const [headers, body, trailers] =
        way === "request"
          ? [stream.requestHeaders, stream.requestBody, stream.requestTrailers]
          : [stream.responseHeaders, stream.responseBody, stream.responseTrailers];
      headers.call(stream, message.headers, { endOfStream: bare });
      for (const [index, chunk] of chunks.entries()) {
        body.call(stream, chunk, { endOfStream: !message.trailers && index === chunks.length - 1 });
      }
      if (message.trailers) trailers.call(stream, message.trailers);
    };
    send(request, "request");
    if (!stream.ended && stream.upstream.ended) send(upstream(stream), "response");
    return stream;
  }
}
