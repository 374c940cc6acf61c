/** The two proxies of queue-suite.ts. */
import { request } from "node:http";
import {
  cluster,
  EnvoyProcess,
  httpListener,
  projectRoot,
  staticBootstrap,
  wasmFilter,
} from "../../envoy/harness/index.ts";
import { ProxyWasmHost } from "../host/index.ts";
import { type QueueProxy, queueModule, queueWorkers } from "./queue-suite.ts";
import { factIn } from "./scenario.ts";

const factsOf = (messages: readonly string[]): string[] =>
  messages.flatMap((message) => {
    const found = factIn(message);
    return found?.scenario === "queue" ? [found.fact] : [];
  });

export async function queueHost(): Promise<QueueProxy> {
  const host = await ProxyWasmHost.load(queueModule, { workers: queueWorkers });
  const plugin = host.plugin({ rootId: "worker-queue", failurePolicy: "FAIL_RELOAD", reloadBackoffMs: 100 });
  return {
    async ask(headers) {
      host.advance(50);
      const stream = plugin.stream({ worker: Math.floor(host.random() * queueWorkers) });
      const own = { ":method": "GET", ":path": "/", ":scheme": "http", ":authority": "queue" };
      stream.requestHeaders({ ...own, ...headers }, { endOfStream: true });
      stream.end();
      const { downstream } = stream;
      return { status: Number(downstream.headers?.get(":status") ?? 503), body: downstream.text };
    },
    facts: () => factsOf(host.logs.map(({ message }) => message)),
    stop: async () => plugin.remove(),
  };
}

export async function queueEnvoy(version: string): Promise<QueueProxy> {
  const filter = wasmFilter({ name: "worker-queue", file: `${projectRoot()}/${queueModule}` });
  const envoy = await EnvoyProcess.start({
    ...{ version, concurrency: queueWorkers, allowErrors: [/\[wasm\]/] },
    bootstrap: staticBootstrap({
      clusters: [cluster({ name: "a", targets: [1] })],
      listeners: [httpListener({ name: "main", routes: [{ cluster: "a" }], httpFilters: [filter] })],
    }),
  });
  const url = `http://${await envoy.listenerAddress("main")}/`;
  return {
    // A connection for each: the kernel spreads them over the workers.
    ask: (headers) =>
      new Promise((resolve, reject) => {
        const asked = request(url, { headers, agent: false }, (answer) => {
          const chunks: Buffer[] = [];
          answer.on("data", (chunk: Buffer) => chunks.push(chunk));
          answer.on("error", reject);
          answer.on("end", () => resolve({ status: answer.statusCode ?? 0, body: Buffer.concat(chunks).toString() }));
        });
        asked.on("error", reject);
        asked.end();
      }),
    facts: () => factsOf(envoy.log.entries.map(({ message }) => message)),
    stop: async () => envoy.stop(),
  };
}
