/** hash-ring.wasm on the test host: one plugin, any number of workers, whole calls of clients in virtual time, endpoints that answer them. */
import { type LoadOptions, type Plugin, ProxyWasmHost, type Stream } from "../host/index.ts";
import { countersOf, hasTrapped } from "./host-view.ts";
import { chat, type Headers, lengthOf } from "./router-driver.ts";

export interface PickerOptions extends LoadOptions {
  wasm?: string;
  rootId?: string;
}

export interface Answer {
  /** "ip:port" of who answers; without it Envoy answers by itself. */
  from?: string;
  status?: string;
  /** Tokens of the prompt, and how many of them were cached. */
  prompt?: number;
  cached?: number;
  /** upstream.request_attempt_count. */
  attempts?: number;
  headers?: Readonly<Record<string, string>>;
}

export const addresses = (count: number, port = 8000): string[] =>
  Array.from({ length: count }, (_, index) => `10.0.0.${index + 1}:${port}`);

/** A pool with nothing but endpoints. */
export const poolOf = (count: number, more: object = {}): object => ({
  name: "models",
  endpoints: addresses(count).map((address) => ({ address })),
  ...more,
});

export const say = (text: string, more: object = {}): object => ({
  model: "m",
  messages: [{ role: "user", content: text }],
  ...more,
});

/** Text of so many bytes that shares nothing with that of another topic. */
export const topic = (name: string, bytes: number): string =>
  `${name} `.repeat(Math.ceil(bytes / (name.length + 1))).slice(0, bytes);

export class PickerHost {
  readonly host: ProxyWasmHost;
  readonly plugin: Plugin;

  private constructor(host: ProxyWasmHost, plugin: Plugin) {
    [this.host, this.plugin] = [host, plugin];
  }

  /** Throws LoadError when the configuration is refused. */
  static async start(config: object, options: PickerOptions = {}): Promise<PickerHost> {
    const { wasm = "build/filters/hash-ring.wasm", rootId = "hash-ring", ...load } = options;
    const host = await ProxyWasmHost.load(wasm, { workers: 1, bufferLimitBytes: 32 << 20, ...load });
    const plugin = host.plugin({ name: rootId, rootId, vmId: "picker", config, allowOnHeadersStopIteration: true });
    return new PickerHost(host, plugin);
  }

  /** A new configuration in the same VMs: streams that run keep the old one. */
  configure(config: object): void {
    const outcome = this.plugin.update(config);
    if (!outcome.accepted) throw new Error(outcome.error);
  }

  ask(body: object | string, headers: Headers = [], worker = 0): Stream {
    const text = typeof body === "string" ? body : JSON.stringify(body);
    const given = new Map(headers);
    const base = chat({ "content-length": lengthOf(text) }).filter(([name]) => !given.has(name));
    const stream = this.plugin.stream({ worker });
    return stream.requestHeaders([...base, ...headers]).requestBody(text, { endOfStream: true });
  }

  /** The whole answer. */
  answer(stream: Stream, answer: Answer = {}): Stream {
    this.begin(stream, answer);
    const { prompt = 100, cached = 0 } = answer;
    const usage = { prompt_tokens: prompt, completion_tokens: 1, prompt_tokens_details: { cached_tokens: cached } };
    return stream.responseBody(JSON.stringify({ choices: [], usage }), { endOfStream: true });
  }

  /** Headers of the answer, from the first endpoint of the list if nothing else is said. */
  begin(stream: Stream, { from = listOf(stream)[0], status = "200", attempts = 1, headers = {} }: Answer = {}): Stream {
    if (from !== undefined) stream.setAttribute("upstream.address", from);
    stream.setAttribute("upstream.request_attempt_count", BigInt(attempts));
    return stream.responseHeaders({
      ":status": status,
      "content-type": "application/json",
      date: "d",
      server: "s",
      via: "v",
      age: "0",
      ...headers,
    });
  }

  /** Time passes, and what is called on the way is answered. */
  pass(ms: number): void {
    for (let left = ms; left > 0; left -= 15) this.host.advance(Math.min(left, 15));
  }

  /** Statistics that are not 0, by name and labels. */
  counters(name: string): Record<string, number> {
    return countersOf(this.host, `tokenmesh_endpoint_${name}`);
  }

  get trapped(): boolean {
    return hasTrapped(this.host);
  }
}

/** Endpoints that the request may go to, best first; none when it was not picked for. */
export function listOf(stream: Stream): string[] {
  const header = stream.upstream.headers?.get("x-gateway-destination-endpoint");
  return header === undefined ? [] : header.split(",");
}

/** Requests that are on their way to an endpoint of the pool, over all workers. */
export const inflight = (host: PickerHost) => host.counters("inflight")["pool=models"] ?? 0;
