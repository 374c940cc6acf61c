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
import { document, events } from "../test/filters/cache-driver.ts";
import { type RunningServer, startServer } from "./index.ts";
import { silentLogger } from "./log.ts";

/** Equal streams at a time that share one call and read it along, from a PromptCache in YAML to an Envoy with two workers, in front of an upstream that answers as the test says. */

const SSE = { "content-type": "text/event-stream" };

const config = (port: number, more: string) => `${modelsGateway(port)}
apiVersion: tokenmesh.io/v1alpha1
kind: PromptCache
metadata: {name: answers}
spec:
  service: {timeoutMs: 5000}
  rules: [{name: all, key: [{apiKey: true}], singleFlight: {live: true}}]
${more}
`;

/** A router whose target has a host and a credential of its own, and limits behind the cache. */
const stages = `
---
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
spec: {rules: [{name: all, limits: [{unit: requests, amount: 3, per: day}]}]}
`;

/** A limiter that ends a stream whose budget is used up. */
const stop = `
---
apiVersion: tokenmesh.io/v1alpha1
kind: TokenRateLimit
metadata: {name: limits}
spec: {rules: [{name: all, key: [], limits: [{unit: tokens, amount: 60, per: day}], overrun: stop}]}
`;

interface Call {
  readonly body: string;
  readonly headers: IncomingMessage["headers"];
  readonly answer: ServerResponse;
}

/** A request of a client while its answer comes. */
class Asked {
  body = "";
  status: number | undefined;
  headers: IncomingMessage["headers"] = {};
  ended: "whole" | "broken" | undefined;
  readonly #request;

  constructor(address: string, text: string, key = "k", more: object = {}) {
    const body = JSON.stringify({ model: "m", messages: [{ role: "user", content: text }], stream: true, ...more });
    this.#request = httpRequest(`http://${address}/v1/chat/completions?a=b`, {
      method: "POST",
      agent: false,
      headers: {
        "content-type": "application/json",
        authorization: `Bearer ${key}`,
        "content-length": Buffer.byteLength(body),
      },
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

  get state(): string {
    return String(this.headers["x-llm-cache"]);
  }

  leave(): void {
    this.#request.destroy();
  }
}

describe.each(versionsUnderTest())("streams that are read along, Envoy %s", (version) => {
  let dir: string;
  let upstream: Server;
  let calls: Call[];
  let server: RunningServer;
  let envoy: EnvoyProcess;
  let address: string;

  beforeEach(async () => {
    calls = [];
    dir = mkdtempSync(join(tmpdir(), "tokenmesh-flights-"));
    upstream = createServer((incoming, answer) => {
      const pieces: Buffer[] = [];
      incoming.on("data", (piece: Buffer) => pieces.push(piece));
      incoming.on("end", () =>
        calls.push({ body: Buffer.concat(pieces).toString(), headers: incoming.headers, answer }),
      );
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

  async function start(more = ""): Promise<void> {
    writeFileSync(join(dir, "a.yaml"), config((upstream.address() as AddressInfo).port, more));
    server = await startServer({ configDir: dir, log: silentLogger });
    expect(server.configErrors()).toEqual([]);
    envoy = await startEnvoy(version, server.xdsAddress, "flights");
    address = await gatewayAddress(envoy);
  }

  const atGateway = async (count: number) => {
    const active = async () =>
      [...(await envoy.admin.stats("downstream_rq_active"))]
        .filter(([name]) => !name.includes("admin"))
        .reduce((sum, [, value]) => sum + value, 0);
    await waitFor(async () => (await active()) === count, { what: `${count} requests at the gateway` });
  };
  const call = (place: number) => waitFor(() => calls[place], { what: `call ${place}` });
  const all = (asked: readonly Asked[], holds: (one: Asked) => boolean, what: string) =>
    waitFor(() => asked.every(holds), { what });
  const ask = (count: number, text: string, key?: string) =>
    Array.from({ length: count }, () => new Asked(address, text, key));

  it("a hundred get the first words while the upstream holds the others back, for one call", async () => {
    await start();
    const pieces = events("a hundred times");
    const asked = ask(100, "hundred");
    const { answer } = await call(0);
    await atGateway(100);
    answer.writeHead(200, SSE).write(pieces[0] ?? "");
    await all(asked, ({ body }) => body === pieces[0], "all hundred to have the first event");
    // Who comes now gets it all the same, from the beginning.
    const late = ask(10, "hundred");
    await all(late, ({ body }) => body === pieces[0], "who comes late to have the first event");
    answer.write(pieces.slice(1, 3).join(""));
    const some = pieces.slice(0, 3).join("");
    await all([...asked, ...late], ({ body }) => body === some, "all to have what there is");
    answer.end(pieces.slice(3).join(""));
    await all([...asked, ...late], ({ ended }) => ended === "whole", "all answers to end");
    expect(new Set([...asked, ...late].map(({ body }) => body))).toEqual(new Set([pieces.join("")]));
    const states = [...asked, ...late].map(({ state }) => state);
    expect([states.filter((one) => one === "miss").length, states.filter((one) => one === "coalesced").length]).toEqual(
      [1, 109],
    );
    for (const { headers } of asked) {
      expect(headers["content-type"]).toBe("text/event-stream");
      expect(headers["x-llm-cache-key"]).toBe(asked[0]?.headers["x-llm-cache-key"]);
    }
    const [hit] = ask(1, "hundred") as [Asked];
    await all([hit], ({ ended }) => ended === "whole", "a later answer");
    expect([hit.state, hit.body]).toEqual(["hit", pieces.join("")]);
    const served = async () =>
      [...(await envoy.admin.stats("tokenmesh_cache_bytes"))].find(([name]) => name.endsWith("kind=served"))?.[1];
    await waitFor(async () => (await served()) === 110 * Buffer.byteLength(pieces.join("")), {
      what: "all that was given again to be counted",
    });
    expect(calls.length).toBe(1);
  });

  it("the official client sees the first token of an answer that is not there yet", async () => {
    await start();
    const pieces = events("live");
    const openai = new OpenAI({ apiKey: "k", baseURL: `http://${address}/v1`, maxRetries: 0 });
    const stream = () =>
      openai.chat.completions.create({ model: "m", messages: [{ role: "user", content: "sdk" }], stream: true });
    const opened = [stream(), stream(), stream()];
    const { answer } = await call(0);
    await atGateway(3);
    answer.writeHead(200, SSE).write(pieces.slice(0, 2).join(""));
    const iterators = (await Promise.all(opened)).map((one) => one[Symbol.asyncIterator]());
    const firsts = await Promise.all(
      iterators.map(
        async (one) => [(await one.next()).value, (await one.next()).value].at(1)?.choices[0]?.delta.content,
      ),
    );
    expect(firsts).toEqual(["l", "l", "l"]);
    expect(answer.writableEnded).toBe(false);
    answer.end(pieces.slice(2).join(""));
    for (const one of iterators) {
      let rest = "";
      for (let next = await one.next(); !next.done; next = await one.next())
        rest += next.value.choices[0]?.delta.content ?? "";
      expect(rest).toBe("ive");
    }
    expect(calls.length).toBe(1);
  });

  it("only who asks the same with the same key reads along", async () => {
    await start();
    const [own, others] = [ask(4, "secret", "mine"), ask(4, "secret", "theirs")];
    await waitFor(() => calls.length === 2, { what: "a call for each key" });
    await atGateway(8);
    for (const { answer, headers } of calls)
      answer.writeHead(200, SSE).write(events(String(headers.authorization))[1] ?? "");
    await all([...own, ...others], ({ body }) => body !== "", "all to read");
    for (const { answer } of calls) answer.end("data: [DONE]\n\n");
    await all([...own, ...others], ({ ended }) => ended === "whole", "all answers to end");
    expect(calls.length).toBe(2);
    const bodies = (asked: readonly Asked[]) => new Set(asked.map(({ body }) => body));
    expect([bodies(own).size, bodies(others).size, bodies([...own, ...others]).size]).toEqual([1, 1, 1]);
  });

  it("a leader that fails before its first byte is replaced, and nobody sees that", async () => {
    await start();
    const asked = ask(6, "over");
    const first = await call(0);
    await atGateway(6);
    first.answer.writeHead(500).end("no");
    const second = await call(1);
    // A head alone is no answer yet.
    second.answer.writeHead(200, SSE).flushHeaders();
    await waitFor(() => asked.some(({ status }) => status === 200), { what: "the head of the answer" });
    second.answer.destroy();
    const third = await call(2);
    const pieces = events("over");
    third.answer.writeHead(200, SSE).write(pieces[0] ?? "");
    await waitFor(() => asked.filter(({ body }) => body === pieces[0]).length === 4, { what: "four to read along" });
    third.answer.end(pieces.slice(1).join(""));
    await all(asked, ({ ended }) => ended !== undefined, "all answers to end");
    const seen = asked
      .map(({ status, state, ended, body }) => `${status} ${state} ${ended} ${body === pieces.join("")}`)
      .sort();
    expect(seen).toEqual([
      "200 coalesced whole true",
      "200 coalesced whole true",
      "200 coalesced whole true",
      "200 miss broken false",
      "200 miss whole true",
      "500 miss whole false",
    ]);
    expect(calls.length).toBe(3);
  });

  it("an answer that breaks off breaks off for all, and is kept for nobody", async () => {
    await start();
    const asked = ask(5, "broken");
    const { answer } = await call(0);
    await atGateway(5);
    const pieces = events("broken");
    answer.writeHead(200, SSE).write(pieces[0] ?? "");
    await all(asked, ({ body }) => body === pieces[0], "all to read");
    answer.destroy();
    await all(asked, ({ ended }) => ended === "broken", "all answers to break off");
    const [next] = ask(1, "broken") as [Asked];
    (await call(1)).answer.writeHead(200, SSE).end(pieces.join(""));
    await all([next], ({ ended }) => ended === "whole", "the next answer");
    expect(next.state).toBe("miss");
  });

  it("behind a router and in front of limits: no credential goes to the service, and who reads along counts nothing", async () => {
    await start(stages);
    const asked = ask(20, "stages");
    const { answer, headers, body } = await call(0);
    await atGateway(20);
    expect([headers.authorization, headers.host, JSON.parse(body).model]).toEqual([
      "Bearer secret",
      "own.test",
      "served",
    ]);
    const pieces = events("stages");
    answer.writeHead(200, SSE).write(pieces[0] ?? "");
    await all(asked, (one) => one.body === pieces[0], "all to read");
    answer.end(pieces.slice(1).join(""));
    await all(asked, ({ ended }) => ended === "whole", "all answers to end");
    expect(new Set(asked.map((one) => one.body)).size).toBe(1);
    // Of three requests a day, one is used.
    for (const status of [200, 200, 429]) {
      const [next] = ask(1, `stages ${calls.length}`) as [Asked];
      if (status === 200) (await call(calls.length)).answer.writeHead(200, SSE).end(pieces.join(""));
      await all([next], ({ ended }) => ended !== undefined, "the next answer");
      expect(next.status).toBe(status);
    }
  });

  it("an answer that a limiter ends for its client ends the same for those who read it along", async () => {
    await start(stop);
    const limited = () => new Asked(address, "limited", "k", { max_tokens: 20 });
    const leader = limited();
    const { answer } = await call(0);
    const asked = [leader, limited(), limited(), limited()];
    await atGateway(4);
    const pieces = events("0123456789".repeat(20));
    answer.writeHead(200, SSE).write(pieces[0] ?? "");
    await all(asked, ({ body }) => body === pieces[0], "all to read");
    for (const piece of pieces.slice(1, 101)) answer.write(piece);
    await all(asked, ({ ended }) => ended !== undefined, "all answers to end");
    expect(asked.map(({ ended, state, body }) => [ended, state, body])).toEqual(
      ["miss", "coalesced", "coalesced", "coalesced"].map((state) => ["whole", state, leader.body]),
    );
    expect(leader.body).toMatch(/"finish_reason":"length"\}\]\}\n\ndata: \[DONE\]\n\n$/);
    expect(leader.body.length).toBeLessThan(pieces.join("").length);
  });

  it("documents are waited for as ever, and so is all when the server is away", async () => {
    await start();
    const plain = Array.from({ length: 4 }, () => new Asked(address, "document", "k", { stream: false }));
    const { answer } = await call(0);
    await atGateway(4);
    answer.writeHead(200, { "content-type": "application/json" }).end(document("x"));
    await all(plain, ({ ended }) => ended === "whole", "all documents");
    expect(plain.map(({ state }) => state).sort()).toEqual(["coalesced", "coalesced", "coalesced", "miss"]);
    await server.close();
    const asked = ask(4, "away");
    const away = await call(1);
    await atGateway(4);
    const pieces = events("away");
    away.answer.writeHead(200, SSE).write(pieces[0] ?? "");
    await waitFor(() => asked.some(({ body }) => body === pieces[0]), { what: "the first to read" });
    away.answer.end(pieces.slice(1).join(""));
    await all(asked, ({ ended }) => ended === "whole", "all answers");
    expect(asked.map(({ state }) => state).sort()).toEqual(["coalesced", "coalesced", "coalesced", "miss"]);
    expect(new Set(asked.map(({ body }) => body))).toEqual(new Set([pieces.join("")]));
    expect(calls.length).toBe(2);
  });
});
