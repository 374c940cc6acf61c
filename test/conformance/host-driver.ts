/** Carries scenarios out on the test host. The router and the upstreams of the table are played here. */
import { LogLevel } from "../host/abi.ts";
import { type Plugin, ProxyWasmHost, type Stream } from "../host/index.ts";
import {
  bufferLimitOf,
  bytesOfChunk,
  type Driver,
  factIn,
  type ListenerName,
  listeners,
  type Observation,
  pathOf,
  type Step,
} from "./scenario.ts";

const module = "build/test-wasm/probe.wasm";

export async function hostDriver(): Promise<Driver> {
  const host = await ProxyWasmHost.load(module, { workers: 1, logLevel: "info" });
  host.attributes.set("xds.node.id", "conformance-node");
  host.callouts.onHttpCall("a", () => ({
    headers: { ":status": "200", "x-cluster": "a" },
    body: "callout answer",
    delayMs: 5,
  }));
  host.callouts.onHttpCall("dead", () => "refuse");
  host.callouts.onHttpCall("slow", () => "timeout");
  const plugins = new Map<string, Plugin>();
  for (const [name, { config, vmConfig, flag, policy }] of Object.entries(listeners)) {
    plugins.set(
      name,
      host.plugin({
        name: `probe-${name}`,
        rootId: "probe-root",
        vmId: name,
        vmConfig,
        config,
        bufferLimitBytes: bufferLimitOf(name as ListenerName),
        allowOnHeadersStopIteration: flag,
        ...(policy === "fail_open" ? { failOpen: true } : { failurePolicy: policy }),
      }),
    );
  }
  const factsOf = (from: number, scenario: string): string[] =>
    host.logs
      .slice(from)
      .map(({ message }) => factIn(message))
      .filter((found) => found?.scenario === scenario)
      .map((found) => found?.fact ?? "");

  async function run(scenario: string, step: Step): Promise<Observation> {
    const plugin = plugins.get(step.listener ?? "main");
    if (!plugin) throw new Error(`no listener ${step.listener}`);
    for (let attempt = 0; ; attempt++) {
      const from = host.logs.length;
      const stream = plugin.stream();
      const chunks = (step.chunks ?? []).map(bytesOfChunk);
      const headers = {
        ":method": chunks.length > 0 ? "POST" : "GET",
        ":path": pathOf(scenario, step),
        ":scheme": "http",
        ":authority": "conformance",
        ...step.headers,
      };
      stream.requestHeaders(headers, { endOfStream: chunks.length === 0 });
      for (const chunk of chunks) stream.requestBody(chunk);
      if (step.trailers) stream.requestTrailers(step.trailers);
      else if (chunks.length > 0) stream.requestBody("", { endOfStream: true });
      if (step.abortAfter) stream.end();
      const cluster = settle(host, stream);
      const client: Observation["client"] =
        stream.resetDetails !== undefined || !stream.downstream.headers
          ? "reset"
          : {
              status: Number(stream.downstream.headers.get(":status")),
              headers: flat(stream.downstream.headers.toObject()),
              body: stream.downstream.text,
            };
      const upstream =
        cluster === undefined
          ? null
          : { cluster, headers: flat(stream.upstream.headers?.toObject() ?? {}), body: stream.upstream.text };
      if (
        step.untilStatus === undefined ||
        attempt === 50 ||
        (client !== "reset" && client.status === step.untilStatus)
      ) {
        return { facts: factsOf(from, step.path ?? scenario), client, upstream };
      }
      host.advance(100);
    }
  }

  return {
    run,
    rootFacts: () => factsOf(0, "root"),
    metric: async (name) => {
      host.advance(100);
      return host.metrics.get(name) ?? 0;
    },
    stat: async (name) => host.stats.get(name) ?? 0,
    stop: async () => undefined,
  };
}

/** Lets time pass and plays the upstream until the stream has ended; the cluster that was asked, if any. */
function settle(host: ProxyWasmHost, stream: Stream): string | undefined {
  let cluster: string | undefined;
  for (let round = 0; round < 100; round++) {
    if (cluster === undefined && stream.upstream.headers)
      cluster = stream.upstream.headers.get("x-pick") === "b" ? "b" : "a";
    if (cluster !== undefined && stream.upstream.ended && !stream.response.headers && !stream.ended) {
      stream.responseHeaders({ ":status": "200", "content-length": "6", "x-cluster": cluster });
      stream.responseBody(`from ${cluster}`);
      stream.responseBody("", { endOfStream: true });
    }
    if (stream.ended) break;
    host.advance(10);
  }
  stream.end();
  return cluster;
}

const flat = (headers: Record<string, string | string[]>): Record<string, string> =>
  Object.fromEntries(
    Object.entries(headers).map(([name, value]) => [name, typeof value === "string" ? value : value.join(", ")]),
  );

/** Used by the log-level scenario: the level both drivers run at. */
export const logLevel = LogLevel.info;
