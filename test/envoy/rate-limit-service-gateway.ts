/** Envoys whose limiter asks a Rate Limit Service, chats through them, and what the limiter has counted. */
import { Agent } from "node:http";
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
import type { Replica } from "../../envoy/replica/index.ts";
import { WASM_DIR } from "./gateways.ts";
import { http1, type RawAnswer, type RawRequest } from "./http-client.ts";

/** By `call` and `outcome` of the filter's metric, such as "reserve ok". */
export type Calls = Readonly<Record<string, number>>;

export interface ServiceGateway {
  readonly url: string;
  readonly envoy: EnvoyProcess;
  /** Calls to the service so far, without those that are 0. The filter writes them on ticks. */
  calls(): Promise<Calls>;
  /** A counter of the limiter, such as "decided_alone", summed up over its labels that contain `labels`. */
  counted(name: string, labels?: string): Promise<number>;
  stop(): Promise<void>;
}

export interface ServiceGatewayOptions {
  readonly version: string;
  readonly replica: Replica;
  /** `host:port` of the service. */
  readonly service: string;
  readonly rules: readonly JsonObject[];
  /** Further fields of `service`. The default time is long: nothing here is to depend on how busy a machine is. */
  readonly spec?: JsonObject;
  readonly concurrency?: number;
  /** `router` of the gateway; by default all models go to the replica. */
  readonly router?: JsonObject;
  /** Of bodies, and what the listener buffers; by default those of the filter and of Envoy. */
  readonly maxBodyBytes?: number;
  readonly allowErrors?: readonly RegExp[];
}

const METRIC = "wasmcustom.tokenmesh_rate_limit_";

/** client -> llm-gateway -> the replica. */
export async function startServiceGateway(options: ServiceGatewayOptions): Promise<ServiceGateway> {
  const { version, replica, service, rules, spec, concurrency = 1, allowErrors = [] } = options;
  const { maxBodyBytes, router = { models: [{ model: "*", route: "replica" }] } } = options;
  const rateLimit = { service: { cluster: "service", timeoutMs: 10_000, ...spec }, rules: [...rules] };
  const filter = wasmFilter({
    name: "llm-gateway",
    file: join(WASM_DIR, "llm-gateway.wasm"),
    configuration: { rateLimit, router, ...(maxBodyBytes === undefined ? {} : { maxBodyBytes }) },
  });
  const routes = [{ cluster: "replica" }];
  const buffer = maxBodyBytes === undefined ? {} : { bufferLimitBytes: maxBodyBytes };
  const envoy = await EnvoyProcess.start({
    ...{ version, concurrency, allowErrors },
    bootstrap: staticBootstrap({
      listeners: [httpListener({ name: "llm", httpFilters: [filter], routes, ...buffer })],
      clusters: [
        cluster({
          name: "replica",
          targets: [replica.port],
          cluster: { circuit_breakers: { thresholds: [{ max_connections: 4096, max_requests: 4096 }] } },
        }),
        cluster({ name: "service", targets: [service], http2: true }),
      ],
    }),
  });
  const calls = async (): Promise<Calls> => {
    const found: Record<string, number> = {};
    for (const [name, value] of await envoy.admin.stats(`${METRIC}calls`)) {
      const [, call, outcome] = /;call=(\w+);outcome=(\w+)$/.exec(name) ?? [];
      if (value > 0) found[`${call} ${outcome}`] = value;
    }
    return found;
  };
  const counted = async (name: string, labels = ""): Promise<number> => {
    const found = await envoy.admin.stats(`${METRIC}${name}`);
    return [...found].reduce((sum, [full, value]) => sum + (full.includes(labels) ? value : 0), 0);
  };
  return { url: `http://${await envoy.listenerAddress("llm")}`, envoy, calls, counted, stop: () => envoy.stop() };
}

export interface Answered {
  readonly status: number;
  readonly headers: RawAnswer["headers"];
  /** By the replica's own figures; 0 for a refusal. */
  readonly prompt: number;
  readonly completion: number;
  /** `error.code` of a refusal. */
  readonly code: string;
}

/** Of tests that send many requests: they share connections. Destroyed by whoever made it. */
export const keepAlive = (): Agent => new Agent({ keepAlive: true });

/** A chat of the team with this body, JSON or a stream, read to its end. */
export async function ask(url: string, team: string, body: string, more: Partial<RawRequest> = {}): Promise<Answered> {
  const headers = { "x-team": team, "content-type": "application/json" };
  const answer = await http1(url, { path: "/v1/chat/completions", headers, body, timeoutMs: 40_000, ...more });
  const end = answer.body.subarray(-1_000).toString();
  const [, prompt, completion] = /"prompt_tokens":(\d+),"completion_tokens":(\d+)/.exec(end) ?? [];
  if (answer.status === 200 && completion === undefined) throw new Error(`an answer without usage: ${end}`);
  const code = answer.status === 200 ? "" : (/"code":"(\w+)"/.exec(end)?.[1] ?? "");
  return { status: answer.status, headers: answer.headers, ...numbers({ prompt, completion }), code };
}

const numbers = ({ prompt = "0", completion = "0" }) => ({ prompt: Number(prompt), completion: Number(completion) });

export const tokens = (answers: readonly Answered[]): number =>
  answers.reduce((sum, { prompt, completion }) => sum + prompt + completion, 0);

export const withStatus = (answers: readonly Answered[], status: number): Answered[] =>
  answers.filter((answer) => answer.status === status);

/** Calls of all of them together. */
export async function callsOf(gateways: readonly ServiceGateway[]): Promise<Calls> {
  const sums: Record<string, number> = {};
  for (const gateway of gateways) {
    for (const [name, count] of Object.entries(await gateway.calls())) sums[name] = (sums[name] ?? 0) + count;
  }
  return sums;
}

/** Calls of a leased rule since `before`, as soon as those are counted that refused so many requests. */
export function leaseCalls(
  gateways: readonly ServiceGateway[],
  before: Calls,
  refused: number,
): Promise<{ readonly lease: number; readonly reserve: number; readonly over: number }> {
  const counted = async () => {
    const now = await callsOf(gateways);
    const count = (name: string) => (now[name] ?? 0) - (before[name] ?? 0);
    const calls = { lease: count("lease ok"), reserve: count("reserve ok"), over: count("reserve over_limit") };
    return calls.over >= refused && calls;
  };
  return waitFor(counted, { what: "the counters" });
}

/** Waits until the calendar's window of this length goes on for `neededMs` at least. */
export async function windowAhead(windowMs: number, neededMs: number): Promise<void> {
  const left = (): number => windowMs - (Date.now() % windowMs);
  await waitFor(() => left() > neededMs, { timeoutMs: neededMs + 5_000, what: "the next window" });
}

export const MINUTE = 60_000;
export const HOUR = 3_600_000;
