/** Carries scenarios out on a real Envoy: one process, one listener per plugin configuration, two upstreams in this process. */
import { createServer, type IncomingMessage, request, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import {
  cluster,
  EnvoyProcess,
  httpListener,
  projectRoot,
  staticBootstrap,
  waitFor,
  wasmFilter,
} from "../../envoy/harness/index.ts";
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

interface Received {
  id: string;
  cluster: string;
  headers: Record<string, string>;
  body: string;
}

async function listen(server: Server): Promise<number> {
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return (server.address() as AddressInfo).port;
}

const flat = (headers: IncomingMessage["headers"]): Record<string, string> =>
  Object.fromEntries(
    Object.entries(headers).map(([name, value]) => [name, Array.isArray(value) ? value.join(",") : (value ?? "")]),
  );

async function bodyText(message: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of message) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks).toString();
}

export async function envoyDriver(version: string): Promise<Driver> {
  const received: Received[] = [];
  const upstream = (name: string): Server =>
    createServer(async (incoming, answer) => {
      if (name === "slow") return;
      const body = await bodyText(incoming).catch(() => "cut off");
      if (incoming.url === "/callout") {
        answer.setHeader("x-cluster", name).end("callout answer");
        return;
      }
      received.push({ id: String(incoming.headers["x-id"]), cluster: name, headers: flat(incoming.headers), body });
      answer.setHeader("x-cluster", name).end(`from ${name}`);
    });
  const servers = { a: upstream("a"), b: upstream("b"), slow: upstream("slow"), dead: createServer() };
  const ports = Object.fromEntries(
    await Promise.all(Object.entries(servers).map(async ([name, server]) => [name, await listen(server)])),
  );
  await new Promise((resolve) => servers.dead.close(resolve));

  const stopServers = (): void => {
    for (const server of Object.values(servers)) {
      server.closeAllConnections();
      server.close();
    }
  };
  let envoy: EnvoyProcess;
  try {
    envoy = await EnvoyProcess.start({
      version,
      concurrency: 1,
      logLevel: "info",
      // Traps, and the dead upstream, are part of the scenarios.
      allowErrors: [/Function: .* failed/, /Proxy-Wasm plugin in-VM backtrace/, /abort: /],
      bootstrap: staticBootstrap({
        node: { id: "conformance-node", cluster: "conformance" },
        clusters: Object.entries(ports).map(([name, port]) => cluster({ name, targets: [port as number] })),
        listeners: Object.entries(listeners).map(([name, { config, vmConfig, flag, policy }]) =>
          httpListener({
            name,
            bufferLimitBytes: bufferLimitOf(name as ListenerName),
            hcm: { http_protocol_options: { enable_trailers: true } },
            routes: [{ cluster: "b", headers: { "x-pick": "b" } }, { cluster: "a" }],
            httpFilters: [
              wasmFilter({
                name: `probe-${name}`,
                rootId: "probe-root",
                file: `${projectRoot()}/build/test-wasm/probe.wasm`,
                vmId: name,
                configuration: config,
                allowOnHeadersStopIteration: flag,
                ...(vmConfig === "" ? {} : { vmConfiguration: vmConfig }),
                ...(policy === "fail_open"
                  ? { plugin: { failure_policy: "UNSPECIFIED", fail_open: true } }
                  : { failurePolicy: policy }),
              }),
            ],
          }),
        ),
      }),
    });
  } catch (error) {
    stopServers();
    throw error;
  }

  const factsFrom = (from: number, scenario: string): string[] =>
    envoy.log.entries
      .slice(from)
      .map(({ message }) => factIn(message))
      .filter((found) => found?.scenario === scenario)
      .map((found) => found?.fact ?? "");
  const until = (from: number, scenario: string, fact: string) =>
    waitFor(() => factsFrom(from, scenario).some((seen) => seen === fact), {
      timeoutMs: 5000,
      intervalMs: 5,
      what: `fact "${fact}" of ${scenario}`,
    });

  let requests = 0;
  async function once(scenario: string, step: Step): Promise<Observation> {
    const from = envoy.log.entries.length;
    const name = step.path ?? scenario;
    const id = String(++requests);
    const [host, port] = (await envoy.listenerAddress(step.listener ?? "main")).split(":");
    const chunks = (step.chunks ?? []).map(bytesOfChunk);
    const outgoing = request({
      host,
      port: Number(port),
      path: pathOf(scenario, step),
      method: chunks.length > 0 ? "POST" : "GET",
      agent: false,
      headers: { host: "conformance", "x-id": id, ...(step.headers as Record<string, string | string[]>) },
    });
    const answered = new Promise<Observation["client"]>((resolve) => {
      outgoing.on("error", () => resolve("reset"));
      outgoing.on("response", (answer) => {
        bodyText(answer).then(
          (body) => resolve({ status: answer.statusCode ?? 0, headers: flat(answer.headers), body }),
          () => resolve("reset"),
        );
      });
    });
    for (const [index, chunk] of chunks.entries()) {
      outgoing.write(chunk);
      const fact = step.awaits?.[index];
      if (fact) await until(from, name, fact);
    }
    if (step.trailers) outgoing.addTrailers(step.trailers);
    if (step.abortAfter) {
      outgoing.end();
      await until(from, name, step.abortAfter);
      outgoing.destroy();
    } else outgoing.end();
    const client = await answered;
    const wanted = step.untilStatus === undefined || (client !== "reset" && client.status === step.untilStatus);
    if (wanted && step.last !== "") await until(from, name, step.last ?? "delete");
    if (step.elsewhere !== undefined) await until(from, name, "delete");
    const seen = received.find((one) => one.id === id);
    return {
      facts: factsFrom(from, name),
      client,
      upstream: seen ? { cluster: seen.cluster, headers: seen.headers, body: seen.body } : null,
    };
  }

  return {
    async run(scenario, step) {
      if (step.untilStatus === undefined) return once(scenario, step);
      return (await waitFor(
        async () => {
          const seen = await once(scenario, step);
          return seen.client !== "reset" && seen.client.status === step.untilStatus ? seen : undefined;
        },
        { timeoutMs: 8000, intervalMs: 50, what: `status ${step.untilStatus} in ${scenario}` },
      )) as Observation;
    },
    rootFacts: () => factsFrom(0, "root"),
    async metric(name) {
      return (await envoy.admin.stats()).get(`wasmcustom.${name}`) ?? 0;
    },
    async stat(name) {
      return (await envoy.admin.stats()).get(name) ?? 0;
    },
    async stop() {
      stopServers();
      await envoy.stop();
    },
  };
}
