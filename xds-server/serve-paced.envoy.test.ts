import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import {
  createServer,
  request as httpRequest,
  type IncomingMessage,
  type Server,
  type ServerResponse,
} from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import OpenAI from "openai";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { type EnvoyProcess, versionsUnderTest, waitFor } from "../envoy/harness/index.ts";
import { gatewayAddress, modelsGateway, startEnvoy } from "../test/envoy/models-gateway.ts";
import { events } from "../test/filters/cache-driver.ts";
import { type RunningServer, startServer } from "./index.ts";
import { silentLogger } from "./log.ts";

/** Stored streams that are given again as they came, from a PromptCache in YAML to an Envoy with two workers, in front of an upstream that takes its time. */

const SSE = { "content-type": "text/event-stream" };
/** ms that the upstream waits behind its first event; replays at a tenth of the speed take ten times as long. */
const GAP_MS = 300;

const config = (port: number, rule: string) => `${modelsGateway(port)}
apiVersion: tokenmesh.io/v1alpha1
kind: LLMRouter
metadata: {name: router}
spec:
  targets: {own: {cluster: models.test, host: own.test, upstreamModel: served, credential: {value: secret}}}
  rules: [{name: all, targets: [{target: own}]}]
---
apiVersion: tokenmesh.io/v1alpha1
kind: TokenRateLimit
metadata: {name: limits}
spec: {rules: [{name: all, limits: [{unit: requests, amount: 2, per: day}]}]}
---
apiVersion: tokenmesh.io/v1alpha1
kind: PromptCache
metadata: {name: answers}
spec:
  service: {timeoutMs: 5000}
  rules: [{name: all, key: [{apiKey: true}], ${rule}}]
`;

/** A request of a client while its answer comes. */
class Asked {
  body = "";
  status: number | undefined;
  headers: IncomingMessage["headers"] = {};
  ended: "whole" | "broken" | undefined;
  readonly #request;

  constructor(address: string, text: string) {
    const body = JSON.stringify({ model: "m", messages: [{ role: "user", content: text }], stream: true });
    this.#request = httpRequest(`http://${address}/v1/chat/completions`, {
      method: "POST",
      agent: false,
      headers: { "content-type": "application/json", authorization: "Bearer k", "content-length": body.length },
    });
    this.#request.on("response", (answer) => {
      this.status = answer.statusCode;
      this.headers = answer.headers;
      answer.on("data", (piece: Buffer) => {
        this.body += piece.toString();
      });
      answer.on("end", () => {
        this.ended ??= "whole";
      });
      answer.on("error", () => {
        this.ended ??= "broken";
      });
    });
    this.#request.on("error", () => {
      this.ended ??= "broken";
    });
    this.#request.end(body);
  }

  leave(): void {
    this.#request.destroy();
  }
}

describe.each(versionsUnderTest())("stored streams that are given as they came, Envoy %s", (version) => {
  let dir: string;
  let upstream: Server;
  let calls: number;
  let server: RunningServer;
  let envoy: EnvoyProcess;
  let address: string;
  const pieces = events("paced");
  const whole = pieces.join("");

  beforeEach(async () => {
    calls = 0;
    dir = mkdtempSync(join(tmpdir(), "tokenmesh-paced-"));
    upstream = createServer((incoming, answer: ServerResponse) => {
      incoming.resume().on("end", () => {
        calls++;
        answer.writeHead(200, SSE).write(pieces[0] ?? "");
        setTimeout(() => answer.end(pieces.slice(1).join("")), GAP_MS);
      });
    });
    await new Promise<void>((resolve) => upstream.listen(0, "127.0.0.1", resolve));
  });
  afterEach(async () => {
    await envoy?.stop();
    await server?.close();
    upstream.closeAllConnections();
    await new Promise((resolve) => upstream.close(resolve));
    rmSync(dir, { recursive: true, force: true });
  });

  async function start(rule = "paced: {speed: 0.1}"): Promise<void> {
    writeFileSync(join(dir, "a.yaml"), config((upstream.address() as AddressInfo).port, rule));
    server = await startServer({ configDir: dir, log: silentLogger });
    expect(server.configErrors()).toEqual([]);
    envoy = await startEnvoy(version, server.xdsAddress, "paced");
    address = await gatewayAddress(envoy);
  }

  const all = (asked: readonly Asked[], holds: (one: Asked) => boolean, what: string) =>
    waitFor(() => asked.every(holds), { what });
  const ask = (count: number, text = "q") => Array.from({ length: count }, () => new Asked(address, text));
  const metric = async (name: string) => {
    const text = await (await fetch(`http://${server.apiAddress}/metrics`)).text();
    return Number(new RegExp(`^tokenmesh_answers_${name.replaceAll(/[{}"]/g, "\\$&")} (\\d+)$`, "m").exec(text)?.[1]);
  };
  /** A first request, whose answer is stored here and there when this returns. */
  const fill = async () => {
    const [miss] = ask(1) as [Asked];
    await all([miss], ({ ended }) => ended === "whole", "the first answer");
    expect([miss.headers["x-llm-cache"], miss.body]).toEqual(["miss", whole]);
    await waitFor(async () => (await metric('puts_total{result="stored"}')) === 1, { what: "the answer to be stored" });
  };

  it("a hundred get the first event at once and the others when they are due, for no budget and no call", async () => {
    await start();
    await fill();
    const asked = ask(100);
    await all(asked, ({ body }) => body === pieces[0], "all hundred to have the first event and no more");
    // They share the bytes of the answer.
    expect(await metric("replays")).toBe(100);
    expect(await metric("replay_memory_bytes")).toBeLessThan(100 * Buffer.byteLength(whole));
    for (const { status, headers } of asked) {
      expect([status, headers["x-llm-cache"], headers["content-type"]]).toEqual([200, "hit", "text/event-stream"]);
      expect(headers.age).toMatch(/^\d+$/);
      expect(headers["x-llm-cache-key"]).toBe(asked[0]?.headers["x-llm-cache-key"]);
    }
    expect(asked[0]?.headers["x-llm-cache-key"]).toMatch(/^[0-9a-f]{32}$/);
    await all(asked, ({ ended }) => ended === "whole", "all answers to end");
    expect(new Set(asked.map(({ body }) => body))).toEqual(new Set([whole]));
    const requests = [...(await envoy.admin.stats("upstream_rq_total"))];
    const sum = (names: RegExp) =>
      requests.filter(([name]) => names.test(name)).reduce((total, [, value]) => total + value, 0);
    expect([sum(/router|models/), sum(/tokenmesh-flights/)], requests.map(String).join(" ")).toEqual([1, 100]);
    await waitFor(async () => (await metric('replays_total{result="complete"}')) === 100, {
      what: "all to be counted",
    });
    expect([await metric("replays"), await metric("replay_memory_bytes"), calls]).toEqual([0, 0, 1]);
    // Of two requests a day one is used.
    const statuses = [];
    for (const text of ["second", "third"]) {
      const [next] = ask(1, text) as [Asked];
      await all([next], ({ ended }) => ended !== undefined, "the next answer");
      statuses.push(next.status);
    }
    expect(statuses).toEqual([200, 429]);
  });

  it("the official client sees the same events of a miss and of a hit, one by one", async () => {
    await start();
    const openai = new OpenAI({ apiKey: "k", baseURL: `http://${address}/v1`, maxRetries: 0 });
    const stream = () =>
      openai.chat.completions.create({ model: "m", messages: [{ role: "user", content: "q" }], stream: true });
    const read = async () => {
      const seen = [];
      for await (const chunk of await stream()) seen.push(chunk);
      return seen;
    };
    const miss = await read();
    await waitFor(async () => (await metric('puts_total{result="stored"}')) === 1, { what: "the answer to be stored" });
    const hit = (await stream())[Symbol.asyncIterator]();
    const seen = [(await hit.next()).value];
    // The others are not due yet.
    expect(await metric("replays")).toBe(1);
    for (let next = await hit.next(); !next.done; next = await hit.next()) seen.push(next.value);
    expect(seen).toEqual(miss);
    expect(calls).toBe(1);
  });

  it("a client that leaves ends its replay, and nobody else's", async () => {
    await start();
    await fill();
    const [gone, stays] = ask(2) as [Asked, Asked];
    await all([gone, stays], ({ body }) => body === pieces[0], "both to read");
    gone.leave();
    await waitFor(async () => (await metric('replays_total{result="left"}')) === 1, { what: "one replay to end" });
    await all([stays], ({ ended }) => ended === "whole", "the other one to end");
    expect(stays.body).toBe(whole);
  });

  it("a server that stops gives all that is left at once, and hits come at once without it", async () => {
    await start("paced: {speed: 0.1, maxGapMs: 60000}");
    await fill();
    const asked = ask(10);
    await all(asked, ({ body }) => body === pieces[0], "all to read");
    await server.close();
    await all(asked, ({ ended }) => ended !== undefined, "all answers to end");
    expect(asked.map(({ ended, body }) => [ended, body === whole])).toEqual(asked.map(() => ["whole", true]));
    const away = ask(10);
    await all(away, ({ ended }) => ended !== undefined, "all answers without the server");
    for (const { status, headers, body } of away)
      expect([status, headers["x-llm-cache"], body]).toEqual([200, "hit", whole]);
    expect(calls).toBe(1);
  });
});
