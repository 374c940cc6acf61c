/** An Envoy whose limiter stops streams, before a model server that would stream for ever: what clients and that server see of the end. */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { createServer as createServer2 } from "node:http2";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import {
  cluster,
  EnvoyProcess,
  httpListener,
  type JsonObject,
  staticBootstrap,
  waitFor,
  wasmFilter,
} from "../../envoy/harness/index.ts";
import { WASM_DIR } from "./gateways.ts";

/** What the model server knows of a stream. */
export interface Served {
  events: number;
  /** Closed before the server had ended it. */
  readonly aborted: Promise<void>;
  /** Lets a stream go on that waits behind its first write. */
  goOn(): void;
  isOver: boolean;
}

export interface EndlessServer {
  readonly port: number;
  /** By the request header x-case. */
  readonly served: ReadonlyMap<string, Served>;
  close(): Promise<void>;
}

const sse = (event: object) => `data: ${JSON.stringify(event)}\n\n`;
const named = (event: { readonly type: string }) => `event: ${event.type}\n${sse(event)}`;

/** Event number `index` of a stream, from 0. */
export const EVENTS: Readonly<Record<string, (index: number, text: string) => string>> = {
  "/v1/chat/completions": (_, content) =>
    sse({
      ...{ id: "c1", object: "chat.completion.chunk", created: 7, model: "m" },
      choices: [{ index: 0, delta: { role: "assistant", content }, finish_reason: null }],
    }),
  "/v1/messages": (index, text) => {
    const message = { id: "msg_1", type: "message", role: "assistant", model: "m", content: [], stop_reason: null };
    const begin =
      named({ type: "message_start", message: { ...message, usage: { input_tokens: 5, output_tokens: 1 } } } as never) +
      named({ type: "content_block_start", index: 0, content_block: { type: "text", text: "" } } as never);
    const delta = named({ type: "content_block_delta", index: 0, delta: { type: "text_delta", text } } as never);
    return index === 0 ? begin + delta : delta;
  },
};

/**
 * Streams an event each few milliseconds until it is stopped. Request headers: `x-case` names the stream, `x-events` is how many events it has (else it never ends),
 * `x-text` how many bytes an event's text has, `x-at-once` how many events come in one write, `x-burst` that all events come at once, each in a write of its own, `x-trailers` that trailers
 * end the answer, `x-waits` that it waits behind its first write.
 */
export async function startEndlessServer({ http2 = false } = {}): Promise<EndlessServer> {
  const served = new Map<string, Served>();
  const handle = (request: IncomingMessage, response: ServerResponse): void => {
    const header = (name: string, fallback: number) => Number(request.headers[name] ?? fallback);
    const event = EVENTS[request.url ?? ""] ?? (() => "{}");
    const most = header("x-events", Number.POSITIVE_INFINITY);
    const text = "w ".repeat(header("x-text", 160) / 2);
    request.resume().on("end", () => {
      let abort = () => {};
      const aborted = new Promise<void>((resolve) => (abort = resolve));
      let waits = request.headers["x-waits"] !== undefined;
      const goOn = (): void => {
        waits = false;
      };
      const one: Served = { events: 0, aborted, goOn, isOver: false };
      served.set(String(request.headers["x-case"]), one);
      response.writeHead(200, { "content-type": "text/event-stream" });
      const next = (): void => {
        if (response.writableEnded || (waits && one.events > 0)) return;
        const piece: string[] = [];
        for (let i = header("x-at-once", 1); i > 0 && one.events < most; i--) piece.push(event(one.events++, text));
        if (one.events < most) response.write(piece.join(""));
        else {
          clearInterval(timer);
          if (request.headers["x-trailers"] !== undefined) response.addTrailers({ "x-end": "yes" });
          response.end(piece.join("") + (request.url === "/v1/chat/completions" ? "data: [DONE]\n\n" : ""));
        }
      };
      const timer = setInterval(next, 4);
      if (request.headers["x-burst"] !== undefined) while (!response.writableEnded) next();
      response.on("close", () => {
        clearInterval(timer);
        one.isOver = true;
        if (!response.writableEnded) abort();
      });
      response.on("error", () => {});
    });
  };
  const server = http2 ? (createServer2(handle as never) as unknown as Server) : createServer(handle);
  const sessions = new Set<{ destroy(): void }>();
  server.on("session" as "close", ((session: { destroy(): void }) => sessions.add(session)) as never);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const close = () =>
    new Promise<void>((resolve) => {
      server.close(() => resolve());
      if (!http2) server.closeAllConnections();
      for (const session of sessions) session.destroy();
    });
  return { port: (server.address() as AddressInfo).port, served, close };
}

export interface StoppingGateway {
  readonly url: string;
  readonly envoy: EnvoyProcess;
  readonly server: EndlessServer;
  /** Streams that were stopped, by how; waits until the counters are there and say so. */
  untilStopped(expected: Readonly<Record<string, number>>): Promise<void>;
  close(): Promise<void>;
}

export interface StoppingOptions {
  readonly version: string;
  /** Without the network filter streams are stopped, too. Default true. */
  readonly ends?: boolean;
  readonly rules?: readonly JsonObject[];
  readonly concurrency?: number;
  readonly upstreamHttp2?: boolean;
  /** Further HTTP filters, which see the answer behind the limiter. */
  readonly httpFilters?: readonly JsonObject[];
  readonly hcm?: JsonObject;
  readonly transportSocket?: JsonObject;
  readonly bufferLimitBytes?: number;
  readonly allowErrors?: readonly RegExp[];
  /** Another module than llm-gateway.wasm, without a router; its name is the root id. */
  readonly module?: { readonly name: string; readonly file: string };
  /** Default FAIL_RELOAD. */
  readonly failurePolicy?: "FAIL_RELOAD" | "FAIL_CLOSED" | "FAIL_OPEN";
}

/** Streams of teams whose name begins with `stop` end after about 60 tokens. */
export const RULES: readonly JsonObject[] = [
  {
    name: "stop",
    match: { headers: [{ name: "x-team", prefix: "stop" }] },
    key: [{ header: "x-team" }],
    limits: [{ unit: "tokens", amount: 100, per: "day" }],
    overrun: "stop",
  },
];

/** client -> [llm-stream-end ->] llm-gateway -> the server. */
export async function startStopping(options: StoppingOptions): Promise<StoppingGateway> {
  const { version, ends = true, rules = RULES, concurrency = 1, upstreamHttp2 = false, hcm, allowErrors } = options;
  const server = await startEndlessServer({ http2: upstreamHttp2 });
  const name = options.module?.name ?? "llm-gateway";
  const plugin = { file: options.module?.file ?? join(WASM_DIR, "llm-gateway.wasm"), vmId: "llm" };
  const limits = { rules: [...rules] };
  const router = { models: [{ model: "*", route: "r" }] };
  const configuration = options.module === undefined ? { router, rateLimit: limits } : limits;
  const filter = wasmFilter({ name, configuration, ...plugin });
  const listener = httpListener({
    name: "llm",
    httpFilters: [...(options.httpFilters ?? []), filter],
    routes: [{ cluster: "r" }],
    ...(hcm === undefined ? {} : { hcm }),
    ...(options.bufferLimitBytes === undefined ? {} : { bufferLimitBytes: options.bufferLimitBytes }),
  }) as JsonObject & { filter_chains: { filters: JsonObject[]; transport_socket?: JsonObject }[] };
  for (const chain of listener.filter_chains) {
    if (ends)
      chain.filters.unshift(
        networkFilter(
          wasmFilter({ name: "llm-stream-end", ...plugin, failurePolicy: options.failurePolicy ?? "FAIL_RELOAD" }),
        ),
      );
    if (options.transportSocket !== undefined) chain.transport_socket = options.transportSocket;
  }
  const breakers = { circuit_breakers: { thresholds: [{ max_connections: 4096, max_requests: 4096 }] } };
  const clusters = [cluster({ name: "r", targets: [server.port], http2: upstreamHttp2, cluster: breakers })];
  const bootstrap = staticBootstrap({ listeners: [listener], clusters });
  try {
    const envoy = await EnvoyProcess.start({
      ...{ bootstrap, version, concurrency },
      ...(allowErrors === undefined ? {} : { allowErrors }),
    });
    const scheme = options.transportSocket === undefined ? "http" : "https";
    const stopped = async () => {
      const found = await envoy.admin.stats("wasmcustom.tokenmesh_llm_streams_stopped");
      return Object.fromEntries([...found].map(([name, count]) => [name.replace(/^.*;outcome=/, ""), count]));
    };
    let last = {};
    const untilStopped = async (expected: Readonly<Record<string, number>>): Promise<void> => {
      await waitFor(
        async () => {
          last = await stopped();
          return JSON.stringify(last) === JSON.stringify(expected);
        },
        { what: `stopped streams to be ${JSON.stringify(expected)}, they are ${JSON.stringify(last)}` },
      );
    };
    const close = async (): Promise<void> => {
      await envoy.stop();
      await server.close();
    };
    return { url: `${scheme}://${await envoy.listenerAddress("llm")}`, envoy, server, untilStopped, close };
  } catch (error) {
    await server.close();
    throw error;
  }
}

/** The network filter of a plugin: the field that only HTTP filters have is left out. */
function networkFilter(filter: JsonObject): JsonObject {
  const { config } = filter.typed_config as { config: JsonObject };
  const { allow_on_headers_stop_iteration: _, ...plugin } = config;
  return {
    name: filter.name ?? "",
    typed_config: { "@type": "type.googleapis.com/envoy.extensions.filters.network.wasm.v3.Wasm", config: plugin },
  };
}
