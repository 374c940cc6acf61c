/** Calls under rate limits on real Envoy: chats whose usage the replica reports, streams that a client leaves, and what it is told. */
import { request as http1Request, type IncomingHttpHeaders, type IncomingMessage } from "node:http";
import { connect, constants } from "node:http2";
import { join } from "node:path";
import {
  cluster,
  EnvoyProcess,
  httpListener,
  type JsonObject,
  staticBootstrap,
  type WasmFilterSpec,
  waitFor,
  wasmFilter,
} from "../../envoy/harness/index.ts";
import { type Replica, type ReplicaOptions, startReplica } from "../../envoy/replica/index.ts";
import { WASM_DIR } from "./gateways.ts";
import { http1 } from "./http-client.ts";

export interface LimitedGateway {
  readonly url: string;
  readonly envoy: EnvoyProcess;
  readonly replica: Replica;
  close(): Promise<void>;
}

export interface LimitedOptions {
  readonly version: string;
  /** Plugin configuration. */
  readonly config: JsonObject;
  readonly concurrency?: number;
  readonly replica?: Partial<ReplicaOptions>;
  /** Of the plugin, besides its configuration; default token-rate-limit.wasm. */
  readonly plugin?: Partial<WasmFilterSpec>;
  readonly allowErrors?: readonly RegExp[];
}

export const MODELS = ["gpt-4o", "claude-sonnet-5-5", "gemini-3-flash"];

/** client -> token-rate-limit -> a replica that serves everything. */
export async function startLimited({
  version,
  config,
  concurrency = 1,
  replica: more,
  plugin,
  allowErrors = [],
}: LimitedOptions): Promise<LimitedGateway> {
  const replica = await startReplica({ name: "r1", models: MODELS, prefixCache: false, ...more });
  const filter = wasmFilter({
    name: "token-rate-limit",
    file: join(WASM_DIR, "token-rate-limit.wasm"),
    configuration: config,
    ...plugin,
  });
  const bootstrap = staticBootstrap({
    listeners: [httpListener({ name: "llm", httpFilters: [filter], routes: [{ cluster: "r1" }] })],
    clusters: [
      cluster({
        name: "r1",
        targets: [replica.port],
        cluster: { circuit_breakers: { thresholds: [{ max_connections: 4096, max_requests: 4096 }] } },
      }),
    ],
  });
  try {
    const envoy = await EnvoyProcess.start({ bootstrap, version, concurrency, allowErrors });
    const url = `http://${await envoy.listenerAddress("llm")}`;
    const close = async (): Promise<void> => {
      await envoy.stop();
      await replica.close();
    };
    return { url, envoy, replica, close };
  } catch (error) {
    await replica.close();
    throw error;
  }
}

export interface Told {
  readonly status: number;
  /** Tokens left when the request was admitted; NaN when nothing was told. */
  readonly remaining: number;
  readonly limit: number;
  readonly headers: IncomingHttpHeaders;
  /** What the replica says that the call used; 0 for a refusal. */
  readonly used: number;
}

/** A chat of one user with so many bytes of text, streamed, with its usage at the end. `exact`: an answer of just `max` tokens. */
export function chatBody(bytes: number, max: number, more: JsonObject = {}): string {
  const content = "word ".repeat(Math.ceil(bytes / 5)).slice(0, bytes);
  return JSON.stringify({
    model: "gpt-4o",
    messages: [{ role: "user", content }],
    max_tokens: max,
    stream: true,
    stream_options: { include_usage: true },
    ...more,
  });
}

/** Sends it on a connection of its own and reads all of the answer. */
export async function chat(url: string, team: string, body: string): Promise<Told> {
  const {
    status,
    headers,
    body: answer,
  } = await http1(url, {
    path: "/v1/chat/completions",
    headers: { "x-team": team, "content-type": "application/json" },
    body,
    timeoutMs: 40_000,
  });
  const total = /"total_tokens":(\d+)/.exec(answer.subarray(-1000).toString())?.[1];
  if (status === 200 && total === undefined) throw new Error("an answer without usage");
  return { status, headers, ...leftOf(headers), used: Number(total ?? 0) };
}

function leftOf(headers: IncomingHttpHeaders): { remaining: number; limit: number } {
  const read = (name: string): number => Number(headers[`x-ratelimit-${name}-tokens`] ?? Number.NaN);
  return { remaining: read("remaining"), limit: read("limit") };
}

/** Tokens left. The request that asks has no prompt and takes `PROBE` tokens, when there is room for it. */
export async function left(url: string, team: string): Promise<number> {
  const { status, remaining } = await chat(url, team, chatBody(0, 1));
  return status === 200 ? remaining + 1 : remaining;
}

/** Two of the template around the empty prompt, one of the answer. */
export const PROBE = 3;

/** Asks until so many tokens are left, less what the asking takes. Returns that. */
export async function leftAtLast(url: string, team: string, expected: (found: number) => boolean): Promise<number> {
  let probes = 0;
  return waitFor(
    async () => {
      const found = (await left(url, team)) + PROBE * probes++;
      return expected(found) ? found : 0;
    },
    { what: `the budget of ${team}` },
  );
}

export interface Leaving {
  readonly path: string;
  readonly body: string;
  readonly team: string;
  /** Leaves when so many events have come. */
  readonly events: number;
}

/** Reads some events and resets the connection. Returns the events that had come. */
export function leaveHttp1(url: string, { path, body, team, events }: Leaving): Promise<number> {
  return new Promise((resolve, reject) => {
    const headers = { "x-team": team, "content-type": "application/json", "content-length": Buffer.byteLength(body) };
    const outgoing = http1Request(`${url}${path}`, { method: "POST", headers, agent: false }, (answer) => {
      const count = counter(answer, events, () => {
        answer.socket.resetAndDestroy();
        resolve(count());
      });
    });
    outgoing.on("error", reject);
    outgoing.end(body);
  });
}

/** The same with RST_STREAM. */
export function leaveHttp2(url: string, { path, body, team, events }: Leaving): Promise<number> {
  return new Promise((resolve, reject) => {
    const session = connect(url);
    session.on("error", reject);
    const stream = session.request({
      ":method": "POST",
      ":path": path,
      "x-team": team,
      "content-type": "application/json",
    });
    stream.on("error", () => {});
    const count = counter(stream, events, () => {
      stream.close(constants.NGHTTP2_CANCEL);
      session.close();
      resolve(count());
    });
    stream.end(body);
  });
}

/** Counts events; `enough` is called once. */
function counter(answer: NodeJS.ReadableStream | IncomingMessage, events: number, enough: () => void): () => number {
  let seen = 0;
  let done = false;
  answer.on("error", () => {});
  answer.on("data", (chunk: Buffer) => {
    seen += chunk.toString("latin1").split("\n\n").length - 1;
    if (done || seen < events) return;
    done = true;
    enough();
  });
  return () => seen;
}
