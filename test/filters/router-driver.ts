/**
 * What all tests of the router need: the module on the test host as a listener has it, a client, and the attempts that Envoy's router makes behind it.
 *
 *   client -> RouterHost.router (root id llm-router) -> Attempt (root id llm-router-attempt, the same VM) -> upstream
 */
import { type HeaderMap, type LoadOptions, type Plugin, ProxyWasmHost, type Stream } from "../host/index.ts";
import { hasTrapped } from "./host-view.ts";

export const routerWasm = "build/filters/llm-router.wasm";

/** A configuration of `models` only: an exact name, a prefix, a longer prefix with a name that needs escapes. */
export const base = {
  models: [
    { model: "gpt-4o", route: "gpt4", upstreamModel: "gpt-4o-2024-08-06" },
    { model: "llama-*", route: "llama" },
    { model: "llama-3-*", route: "llama3", upstreamModel: 'a"\\b' },
  ],
};

export type Headers = readonly (readonly [string, string])[];

export interface RouterOptions extends LoadOptions {
  /** allow_on_headers_stop_iteration; default true. */
  flag?: boolean;
  wasm?: string;
  rootId?: string;
  /** Of the attempt filter; default that of the router. */
  attemptVmId?: string;
}

/** Where an attempt goes: what the endpoint's metadata says, and how the body is cut on its way. */
export interface AttemptOptions {
  /** Filter metadata tokenmesh.target of the endpoint; without it the endpoint has none. */
  target?: string;
  metadata?: Uint8Array;
  chunks?: readonly Uint8Array[];
  /** More of the body comes later. */
  open?: boolean;
}

export class RouterHost {
  readonly host: ProxyWasmHost;
  readonly router: Plugin;
  readonly #attempts: Plugin;

  private constructor(host: ProxyWasmHost, router: Plugin, attempts: Plugin) {
    [this.host, this.router, this.#attempts] = [host, router, attempts];
  }

  /** Throws LoadError when the configuration is refused. */
  static async start(config: object | string, options: RouterOptions = {}): Promise<RouterHost> {
    const { flag = true, wasm = routerWasm, rootId = "llm-router", attemptVmId = "llm", ...load } = options;
    const host = await ProxyWasmHost.load(wasm, { workers: 1, bufferLimitBytes: 32 << 20, ...load });
    const router = host.plugin({ name: rootId, rootId, vmId: "llm", config, allowOnHeadersStopIteration: flag });
    return new RouterHost(
      host,
      router,
      host.plugin({ name: "attempt", rootId: "llm-router-attempt", vmId: attemptVmId }),
    );
  }

  /** A whole request of a client. */
  send(body: string | Uint8Array, headers: Headers = chat({ "content-length": lengthOf(body) }), worker = 0): Stream {
    const stream = this.router.stream({ worker });
    stream.requestHeaders(headers);
    stream.requestBody(body, {}).requestBody("", { endOfStream: true });
    return stream;
  }

  /** One attempt of a request that the router sent on. All attempts of a request share its header map; the body is fresh. */
  attempt(request: Stream, { target, metadata, chunks, open = false }: AttemptOptions = {}, worker = 0): Stream {
    const headers = request.upstream.headers;
    if (!headers) throw new Error("the request was not sent on");
    const attempt = this.#attempts.stream({ worker, attemptOf: request });
    const said = metadata ?? (target === undefined ? undefined : hostMetadata(target));
    if (said) attempt.setAttribute("xds.upstream_host_metadata", said);
    attempt.setAttribute("upstream.address", "10.0.0.1:80");
    request.setAttribute("upstream.address", "10.0.0.1:80");
    const pieces = chunks ?? [request.upstream.body];
    attempt.requestHeaders(headers, { endOfStream: pieces.length === 0 });
    for (const [index, piece] of pieces.entries())
      attempt.requestBody(piece, { endOfStream: !open && index === pieces.length - 1 });
    return attempt;
  }

  /** An answer that passes the last attempt's filter and the router's. */
  answer(request: Stream, attempt: Stream, body: string | readonly string[], status = "200"): void {
    attempt.responseHeaders({ ":status": status });
    const pieces = typeof body === "string" ? [body] : body;
    for (const [index, piece] of pieces.entries())
      attempt.responseBody(piece, { endOfStream: index === pieces.length - 1 });
    if (!attempt.downstream.headers) return;
    request.responseHeaders(attempt.downstream.headers.pairs());
    for (const [index, piece] of pieces.entries())
      request.responseBody(piece, { endOfStream: index === pieces.length - 1 });
  }

  /** Everything that was logged, for assertions on secrets and aborts. */
  get logged(): string {
    return JSON.stringify(this.host.logs);
  }

  /** The module trapped, which ends every stream of its worker. */
  get trapped(): boolean {
    return hasTrapped(this.host);
  }

  get vm() {
    return this.host.workerVm(0, "llm");
  }
}

export const lengthOf = (body: string | Uint8Array): string => String(Buffer.byteLength(body));

/** Headers of a chat; others are added, `:path` replaces. */
export function chat(extra: Record<string, string> = {}): [string, string][] {
  const { ":path": path = "/v1/chat/completions", "content-type": type = "application/json", ...others } = extra;
  return [
    [":method", "POST"],
    [":path", path],
    [":authority", "gateway"],
    ["content-type", type],
    ...Object.entries(others),
  ];
}

/** What the upstream would get of a request that was sent on. */
export function sent(stream: Stream) {
  const headers: HeaderMap | undefined = stream.upstream.headers;
  return {
    route: headers?.get("x-llm-route"),
    cluster: headers?.get("x-llm-cluster"),
    model: headers?.get("x-llm-model"),
    path: headers?.get(":path"),
    host: headers?.get(":authority"),
    length: headers?.get("content-length"),
    body: stream.upstream.text,
  };
}

/** Code of the error answer in any of the three shapes; undefined when the request was sent on. */
export function refusalOf(stream: Stream): string | undefined {
  return stream.localReply?.details.replace(/^tokenmesh_/, "");
}

const field = (number: number, bytes: Uint8Array): Buffer => {
  if (bytes.length > 0x3fff) throw new Error("two bytes of length are enough for a test");
  const size = bytes.length < 0x80 ? [bytes.length] : [(bytes.length & 0x7f) | 0x80, bytes.length >> 7];
  return Buffer.concat([Buffer.from([(number << 3) | 2, ...size]), bytes]);
};

/** A serialised envoy.config.core.v3.Metadata: filter_metadata {filter: {key: value}}. */
export function hostMetadata(value: string, filter = "tokenmesh", key = "target"): Uint8Array {
  const text = field(3, Buffer.from(value));
  const struct = field(1, Buffer.concat([field(1, Buffer.from(key)), field(2, text)]));
  return field(1, Buffer.concat([field(1, Buffer.from(filter)), field(2, struct)]));
}
