/** token-rate-limit.wasm on the test host: one plugin, any number of workers, whole calls of clients in virtual time. */
import { type LoadOptions, type Plugin, ProxyWasmHost, type Stream } from "../host/index.ts";
import { countersOf, hasTrapped } from "./host-view.ts";
import { chat, type Headers, lengthOf } from "./router-driver.ts";

export interface LimitOptions extends LoadOptions {
  wasm?: string;
  rootId?: string;
}

export interface Tokens {
  input: number;
  output: number;
  cached?: number;
  cacheWrite?: number;
  reasoning?: number;
}

/** A moment at which a minute, an hour and a day begin. */
export const midnight = Date.UTC(2026, 10, 21);

export class LimitHost {
  readonly host: ProxyWasmHost;
  readonly plugin: Plugin;

  private constructor(host: ProxyWasmHost, plugin: Plugin) {
    [this.host, this.plugin] = [host, plugin];
  }

  /** Throws LoadError when the configuration is refused. */
  static async start(config: object, options: LimitOptions = {}): Promise<LimitHost> {
    const { wasm = "build/filters/token-rate-limit.wasm", rootId = "token-rate-limit", ...load } = options;
    const host = await ProxyWasmHost.load(wasm, { workers: 1, epochMs: midnight, ...load });
    const plugin = host.plugin({ name: rootId, rootId, vmId: "limits", config, allowOnHeadersStopIteration: true });
    return new LimitHost(host, plugin);
  }

  ask(body: object | string, headers: Headers = [], worker = 0): Stream {
    const text = typeof body === "string" ? body : JSON.stringify(body);
    const given = new Map(headers);
    const base = chat({ "content-length": lengthOf(text) }).filter(([name]) => !given.has(name));
    const stream = this.plugin.stream({ worker });
    return stream.requestHeaders([...base, ...headers]).requestBody(text, { endOfStream: true });
  }

  /** A whole answer with that usage, in OpenAI's words. */
  answer(stream: Stream, tokens: Tokens): Stream {
    const usage = {
      prompt_tokens: tokens.input,
      completion_tokens: tokens.output,
      prompt_tokens_details: { cached_tokens: tokens.cached ?? 0, cache_write_tokens: tokens.cacheWrite ?? 0 },
      completion_tokens_details: { reasoning_tokens: tokens.reasoning ?? 0 },
    };
    return this.answerWith(stream, JSON.stringify({ choices: [], usage }));
  }

  answerWith(stream: Stream, body: string, status = "200"): Stream {
    stream.responseHeaders({
      ":status": status,
      "content-type": "application/json",
      date: "d",
      server: "s",
      via: "v",
      age: "0",
    });
    return stream.responseBody(body, { endOfStream: true });
  }

  /** Everything of a counter that is not 0, by its labels. */
  counters(name: string): Record<string, number> {
    return countersOf(this.host, `tokenmesh_rate_limit_${name}`);
  }

  get trapped(): boolean {
    return hasTrapped(this.host);
  }
}

/** The x-ratelimit headers of an answer, without the prefix; `retry` where they stand. */
export function told(stream: Stream): Record<string, string> {
  const pairs = stream.downstream.headers?.pairs() ?? [];
  return Object.fromEntries(
    pairs
      .filter(([name]) => /^(x-ratelimit|retry)-/.test(name))
      .map(([name, value]) => [name.replace("x-ratelimit-", ""), value]),
  );
}

/** "ok" when the request was sent on, else status and code of the refusal. */
export function outcome(stream: Stream): string {
  const reply = stream.localReply;
  return reply
    ? `${reply.status} ${reply.details.replace(/^tokenmesh_/, "")}`
    : stream.upstream.headers
      ? "ok"
      : "held";
}
