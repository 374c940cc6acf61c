import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer, request as httpRequest, type Server, type ServerResponse } from "node:http";
import {
  type AddressInfo,
  connect,
  createServer as createTcpServer,
  type Socket,
  type Server as TcpServer,
} from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { adsBootstrap, EnvoyProcess, versionsUnderTest, waitFor } from "../envoy/harness/index.ts";
import { gatewayAddress, modelsGateway } from "../test/envoy/models-gateway.ts";
import { events } from "../test/filters/cache-driver.ts";
import { RedisServer, redisBinary } from "../test/fixtures/redis-server.ts";
import { type RunningServer, startServer } from "./index.ts";
import { silentLogger } from "./log.ts";

/** Two servers on one Redis behind one address: Envoy's calls and what reads along come to different ones. */

const config = (port: number) => `${modelsGateway(port)}
apiVersion: tokenmesh.io/v1alpha1
kind: PromptCache
metadata: {name: answers}
spec:
  service: {timeoutMs: 5000}
  rules: [{name: all, key: [{apiKey: true}], singleFlight: {live: true}, paced: true}]
`;

/** Passes every new connection on to where `target` says. */
class Balancer {
  target = "";
  readonly #server: TcpServer;
  readonly #sockets = new Set<Socket>();

  private constructor() {
    this.#server = createTcpServer((socket) => {
      const [host = "", port = ""] = this.target.split(":");
      const onward = connect(Number(port), host);
      for (const [one, other] of [
        [socket, onward],
        [onward, socket],
      ] as const) {
        this.#sockets.add(one);
        one.on("error", () => other.destroy());
        one.on("close", () => {
          this.#sockets.delete(one);
          other.destroy();
        });
        one.pipe(other);
      }
    });
  }

  static async start(): Promise<Balancer> {
    const balancer = new Balancer();
    await new Promise<void>((resolve) => balancer.#server.listen(0, "127.0.0.1", resolve));
    return balancer;
  }

  get address(): string {
    return `127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  async stop(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    await new Promise((resolve) => this.#server.close(resolve));
  }
}

class Asked {
  body = "";
  cache: unknown;
  ended: "whole" | "broken" | undefined;

  constructor(address: string, text: string) {
    const body = JSON.stringify({ model: "m", messages: [{ role: "user", content: text }], stream: true });
    const headers = { "content-type": "application/json", authorization: "Bearer k", "content-length": body.length };
    const request = httpRequest(`http://${address}/v1/chat/completions`, { method: "POST", agent: false, headers });
    const broken = () => {
      this.ended ??= "broken";
    };
    request.on("error", broken).on("response", (answer) => {
      this.cache = answer.headers["x-llm-cache"];
      answer.on("error", broken);
      answer.on("data", (piece: Buffer) => {
        this.body += piece.toString();
      });
      answer.on("end", () => {
        this.ended ??= "whole";
      });
    });
    request.end(body);
  }
}

const binary = redisBinary();
const versions = "reason" in binary ? [] : versionsUnderTest();

if ("reason" in binary) it("two servers behind one address", ({ skip }) => skip(binary.reason));

describe.each(versions)("two servers behind one address, Envoy %s", (version) => {
  let dir: string;
  let upstream: Server;
  let calls: ServerResponse[];
  let redis: RedisServer;
  let balancer: Balancer;
  let servers: RunningServer[];
  let envoy: EnvoyProcess;
  let address: string;

  beforeEach(async () => {
    [calls, servers] = [[], []];
    dir = mkdtempSync(join(tmpdir(), "tokenmesh-replicas-"));
    upstream = createServer((incoming, answer) => {
      incoming.resume().on("end", () => calls.push(answer));
    });
    await new Promise<void>((resolve) => upstream.listen(0, "127.0.0.1", resolve));
    writeFileSync(join(dir, "a.yaml"), config((upstream.address() as AddressInfo).port));
    [redis, balancer] = await Promise.all([RedisServer.start(), Balancer.start()]);
    for (let i = 0; i < 2; i++) {
      const answers = { redis: { url: redis.url, timeoutMs: 5_000 } };
      const advertise = balancer.address;
      servers.push(await startServer({ configDir: dir, log: silentLogger, answers, advertise }));
    }
    balancer.target = servers[0]?.xdsAddress ?? "";
    envoy = await EnvoyProcess.start({
      version,
      bootstrap: adsBootstrap({ xdsAddress: servers[0]?.xdsAddress ?? "", nodeId: "replicas", cluster: "test" }),
      concurrency: 1,
      allowErrors: [/gRPC config/, /StreamAggregatedResources/],
    });
    address = await gatewayAddress(envoy);
    await waitFor(async () => (await metric(0, "store_up")) === 1, { what: "Redis at the first" });
    await waitFor(async () => (await metric(1, "store_up")) === 1, { what: "Redis at the second" });
  });
  afterEach(async () => {
    await envoy?.stop();
    for (const server of servers) await server.close();
    await balancer?.stop();
    await redis?.stop();
    upstream.closeAllConnections();
    await new Promise((resolve) => upstream.close(resolve));
    rmSync(dir, { recursive: true, force: true });
  });

  const metric = async (server: number, name: string) => {
    const text = await (await fetch(`http://${servers[server]?.apiAddress}/metrics`)).text();
    return Number(new RegExp(`^tokenmesh_answers_${name.replaceAll(/[{}"]/g, "\\$&")} (\\d+)$`, "m").exec(text)?.[1]);
  };
  const all = (asked: readonly Asked[], holds: (one: Asked) => boolean, what: string) =>
    waitFor(() => asked.every(holds), { what });

  it("who comes to the wrong one reads along, and gets stored streams as they came", async () => {
    const pieces = events("replicas");
    const asked = Array.from({ length: 20 }, () => new Asked(address, "q"));
    const answer = await waitFor(() => calls[0], { what: "the call" });
    await waitFor(async () => (await metric(0, 'gets_total{result="miss"}')) === 1, { what: "the get" });
    await waitFor(
      async () =>
        [...(await envoy.admin.stats("downstream_rq_active"))]
          .filter(([name]) => !name.includes("admin"))
          .reduce((sum, [, value]) => sum + value, 0) === 20,
      { what: "all requests at the gateway" },
    );
    // The connection of the leader's call is there; those of the others come to the second server.
    balancer.target = servers[1]?.xdsAddress ?? "";
    answer.writeHead(200, { "content-type": "text/event-stream" }).write(pieces[0] ?? "");
    await all(asked, ({ body }) => body === pieces[0], "all to read");
    expect([await metric(0, "followers"), await metric(1, 'follows_total{result="forwarded"}')]).toEqual([19, 19]);
    answer.end(pieces.slice(1).join(""));
    await all(asked, ({ ended }) => ended === "whole", "all answers to end");
    expect(new Set(asked.map(({ body }) => body))).toEqual(new Set([pieces.join("")]));
    expect(calls.length).toBe(1);
    await waitFor(async () => (await metric(0, 'puts_total{result="stored"}')) === 1, {
      what: "the answer to be stored",
    });
    const hits = Array.from({ length: 5 }, () => new Asked(address, "q"));
    await all(hits, ({ ended }) => ended === "whole", "all hits to end");
    expect(hits.map(({ cache, body }) => [cache, body])).toEqual(hits.map(() => ["hit", pieces.join("")]));
    await waitFor(async () => (await metric(0, 'replays_total{result="complete"}')) === 5, {
      what: "all to be counted",
    });
    expect([await metric(1, 'follows_total{result="forwarded"}'), calls.length]).toEqual([24, 1]);
  });
});
