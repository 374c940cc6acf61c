/** prompt-cache.wasm on the test host: one plugin, any number of workers, whole calls of clients in virtual time, an upstream that answers them. */
import { type LoadOptions, type Plugin, type PluginSpec, ProxyWasmHost, type Stream } from "../host/index.ts";
import { countersOf, hasTrapped } from "./host-view.ts";
import { chat, type Headers, lengthOf } from "./router-driver.ts";

export interface CacheOptions extends LoadOptions {
  wasm?: string;
  rootId?: string;
  failurePolicy?: PluginSpec["failurePolicy"];
}

export interface Answer {
  status?: string;
  type?: string;
  headers?: Readonly<Record<string, string>>;
  /** Pieces of the body; the last one ends it. */
  pieces?: readonly string[];
}

/** An object is sent as JSON. */
export type Body = object | string | Uint8Array;

/** A rule for everything, which all share. */
export const open = (more: object = {}): object => ({ rules: [{ name: "all", key: [], ...more }] });

export const say = (text: string, more: object = {}): object => ({
  model: "m",
  messages: [{ role: "user", content: text }],
  ...more,
});

/** A whole answer of chat completions. */
export const document = (text: string): string =>
  JSON.stringify({
    id: "c1",
    object: "chat.completion",
    created: 1,
    model: "m-1",
    choices: [{ index: 0, message: { role: "assistant", content: text }, finish_reason: "stop" }],
    usage: { prompt_tokens: 7, completion_tokens: 5, total_tokens: 12 },
  });

const event = (data: object): string => `data: ${JSON.stringify(data)}\n\n`;

/** The same as a stream, an event to a piece. */
export const events = (text: string): string[] => {
  const chunk = (choice: object) =>
    event({ id: "c1", object: "chat.completion.chunk", created: 1, model: "m-1", choices: [{ index: 0, ...choice }] });
  return [
    chunk({ delta: { role: "assistant", content: "" }, finish_reason: null }),
    ...[...text].map((content) => chunk({ delta: { content }, finish_reason: null })),
    chunk({ delta: {}, finish_reason: "stop" }),
    "data: [DONE]\n\n",
  ];
};

export class CacheHost {
  readonly host: ProxyWasmHost;
  readonly plugin: Plugin;

  private constructor(host: ProxyWasmHost, plugin: Plugin) {
    [this.host, this.plugin] = [host, plugin];
  }

  /** Throws LoadError when the configuration is refused. */
  static async start(config: object = open(), options: CacheOptions = {}): Promise<CacheHost> {
    const { wasm = "build/filters/prompt-cache.wasm", rootId = "prompt-cache", failurePolicy, ...load } = options;
    const host = await ProxyWasmHost.load(wasm, { workers: 1, bufferLimitBytes: 32 << 20, ...load });
    const spec = { name: rootId, rootId, vmId: "cache", config, ...(failurePolicy && { failurePolicy }) };
    const plugin = host.plugin({ ...spec, allowOnHeadersStopIteration: true });
    return new CacheHost(host, plugin);
  }

  configure(config: object): void {
    const outcome = this.plugin.update(config);
    if (!outcome.accepted) throw new Error(outcome.error);
  }

  /** A header replaces that of the same name that every request has. */
  ask(body: Body, headers: Headers = [], worker = 0, attributes: Readonly<Record<string, string>> = {}): Stream {
    const text = typeof body === "string" || body instanceof Uint8Array ? body : JSON.stringify(body);
    const given = new Map(headers);
    const base = chat({ "content-length": lengthOf(text) }).filter(([name]) => !given.has(name));
    const stream = this.plugin.stream({ worker });
    for (const [name, value] of Object.entries(attributes)) stream.setAttribute(name, value);
    return stream.requestHeaders([...base, ...headers]).requestBody(text, { endOfStream: true });
  }

  answer(stream: Stream, answer: Answer | string = {}): Stream {
    const {
      status = "200",
      type = "application/json",
      headers = {},
      pieces = [document("hi")],
    } = typeof answer === "string" ? { pieces: [answer] } : answer;
    stream.responseHeaders(
      { ":status": status, "content-type": type, date: "d", server: "s", via: "v", "x-a": "1", ...headers },
      { endOfStream: pieces.length === 0 },
    );
    for (const [index, piece] of pieces.entries())
      stream.responseBody(piece, { endOfStream: index === pieces.length - 1 });
    return stream;
  }

  /** Asks, and has the upstream answer if it is asked. */
  call(
    body: Body,
    answer: Answer | string = {},
    headers: Headers = [],
    worker = 0,
    attributes: Readonly<Record<string, string>> = {},
  ): Seen {
    const stream = this.ask(body, headers, worker, attributes);
    if (stream.localReply === undefined && !stream.paused.request) this.answer(stream, answer);
    return seen(stream);
  }

  /** Statistics that are not 0, by name and labels. */
  counters(name: string): Record<string, number> {
    return countersOf(this.host, `tokenmesh_cache_${name}`);
  }

  get trapped(): boolean {
    return hasTrapped(this.host);
  }
}

export interface Seen {
  /** It went to the upstream. */
  upstream: boolean;
  cache: string | undefined;
  status: string | undefined;
  body: string;
  headers: Readonly<Record<string, string>>;
}

/** What the client got. */
export function seen(stream: Stream): Seen {
  const headers = stream.downstream.headers;
  return {
    upstream: stream.upstream.headers !== undefined && stream.upstream.ended,
    cache: headers?.get("x-llm-cache"),
    status: headers?.get(":status"),
    body: Buffer.from(stream.downstream.body).toString(),
    headers: Object.fromEntries(headers?.pairs() ?? []),
  };
}
