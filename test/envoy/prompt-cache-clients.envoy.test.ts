/**
 * The official clients get equal objects from a miss and from a hit: what they make of the replica's answers, and of answers that real servers gave
 * (tools, reasoning, usage details, refusals), whole and event by event.
 */
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import Anthropic from "@anthropic-ai/sdk";
import OpenAI from "openai";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import {
  cluster,
  EnvoyProcess,
  httpListener,
  type JsonObject,
  newestVersion,
  staticBootstrap,
  wasmFilter,
} from "../../envoy/harness/index.ts";
import { type Replica, startReplica } from "../../envoy/replica/index.ts";
import { piecesOf, statusOf } from "../fixtures/transcripts/recording.ts";
import { type Transcript, transcripts } from "../lib/transcripts.ts";
import { CLIENT_MODELS, collect, type Target, UPSTREAM_MODELS } from "./clients/scenario.ts";
import { ALIASES, SCENARIOS, TWIN } from "./clients/scenarios.ts";
import { WASM_DIR } from "./gateways.ts";

/** Everything that can be kept is kept, for everybody. */
const rule = { name: "all", key: [], cache: { temperature: "any", tools: true, choices: true } };

async function startCache(name: string, configuration: JsonObject, clusters: readonly string[], port: number) {
  const bootstrap = staticBootstrap({
    listeners: [
      httpListener({
        name: "llm",
        bufferLimitBytes: 16 * 1024 * 1024,
        httpFilters: [wasmFilter({ name, file: join(WASM_DIR, `${name}.wasm`), configuration })],
        routes: [
          ...clusters.map((one) => ({ cluster: one, headers: { "x-llm-route": one } })),
          { cluster: clusters[0] ?? "" },
        ],
      }),
    ],
    clusters: clusters.map((one) => cluster({ name: one, targets: [port] })),
  });
  const envoy = await EnvoyProcess.start({ bootstrap, version: newestVersion(), concurrency: 2 });
  return { envoy, url: `http://${await envoy.listenerAddress("llm")}` };
}

describe("the replica's answers", () => {
  let direct: Replica;
  let behind: Replica;
  let envoy: EnvoyProcess;
  let withCache: Target;
  let withoutCache: Target;

  beforeAll(async () => {
    direct = await startReplica(TWIN);
    behind = await startReplica(TWIN);
    const configuration = {
      router: ALIASES,
      promptCache: { rules: [rule] },
      // A stream that is asked for its usage is answered with other words.
      rateLimit: {
        includeUsage: false,
        rules: [{ name: "all", limits: [{ unit: "tokens", amount: 1_000_000_000, per: "day" }] }],
      },
    };
    const started = await startCache("llm-gateway", configuration, ["gpt", "claude"], behind.port);
    envoy = started.envoy;
    withCache = { url: started.url, models: CLIENT_MODELS };
    withoutCache = { url: direct.url, models: UPSTREAM_MODELS };
  });
  afterAll(async () => {
    await envoy?.stop();
    await behind?.close();
    await direct?.close();
  });

  /** Requests whose answers are never kept. */
  const passes = /^\/v1\/(models|images|audio|messages\/count_tokens)/;

  test.each(SCENARIOS.map((one) => [one.name, one] as const))("%s", async (_, { run, shows }) => {
    const expected = await run(withoutCache);
    for (const text of shows) expect(JSON.stringify(expected)).toContain(text);
    expect(await run(withCache)).toEqual(expected);
    behind.clearRequests();
    // A header of the replica itself is none of a stored answer.
    expect(withoutReplica(await run(withCache))).toEqual(withoutReplica(expected));
    expect(behind.requests.map(({ path }) => path).filter((path) => !passes.test(path))).toEqual([]);
  });
});

function withoutReplica(seen: unknown): unknown {
  if (typeof seen !== "object" || seen === null || !("headers" in seen)) return seen;
  const { "x-replica": replica, ...headers } = seen.headers as Record<string, unknown>;
  return { ...seen, headers };
}

/** Which of the recorded answers this is. */
const NAME = "x-transcript";
const APIS = ["openai.chat", "openai.completions", "openai.responses", "openai.embeddings", "anthropic.messages"];

describe("recorded answers", () => {
  const recorded = transcripts.filter(({ api }) => APIS.includes(api));
  let upstream: Server;
  let envoy: EnvoyProcess;
  let url: string;
  let calls: string[] = [];

  beforeAll(async () => {
    upstream = createServer((request, response) => {
      const transcript = recorded.find(({ name }) => name === request.headers[NAME]);
      if (transcript === undefined) return void response.writeHead(404).end();
      calls.push(transcript.name);
      request.resume().on("end", () => {
        response.writeHead(statusOf(transcript), { "content-type": transcript.answerType });
        for (const piece of piecesOf(transcript)) response.write(piece);
        response.end();
      });
    });
    await new Promise<void>((resolve) => upstream.listen(0, "127.0.0.1", resolve));
    const { port } = upstream.address() as AddressInfo;
    // Some servers were asked the same.
    const configuration = { rules: [{ ...rule, headers: [NAME] }] };
    ({ envoy, url } = await startCache("prompt-cache", configuration, ["u"], port));
  });
  afterAll(async () => {
    await envoy?.stop();
    upstream?.closeAllConnections();
    await new Promise((resolve) => upstream?.close(resolve));
  });

  /** What a client makes of one answer, and how the answer came. */
  async function ask({ name, api, requestBody }: Transcript): Promise<{ seen: unknown; state: string | null }> {
    const options = { apiKey: "none", maxRetries: 0, defaultHeaders: { [NAME]: name } };
    const openai = new OpenAI({ ...options, baseURL: `${url}/v1` });
    const body = JSON.parse(requestBody.toString()) as never;
    const asked = {
      "openai.chat": () => openai.chat.completions.create(body),
      "openai.completions": () => openai.completions.create(body),
      "openai.responses": () => openai.responses.create(body),
      "openai.embeddings": () => openai.embeddings.create(body),
      "anthropic.messages": () => new Anthropic({ ...options, baseURL: url }).messages.create(body),
    }[api] as () => { withResponse(): Promise<{ data: unknown; response: Response }> };
    let state: string | null = null;
    try {
      const { data, response } = await asked().withResponse();
      state = response.headers.get("x-llm-cache");
      return { seen: isStream(data) ? await collect(data) : data, state };
    } catch (error) {
      const { name: kind, message, headers } = error as Error & { headers?: Headers };
      return { seen: [kind, message], state: headers?.get("x-llm-cache") ?? state };
    }
  }

  /** Errors, answers that broke off, and a stream that ends without its last event. */
  const unfit = /-refused$|-broken$|-error$|-cumulative$/;

  test.each(recorded.map((one) => [one.name, one] as const))("%s", async (name, transcript) => {
    calls = [];
    const first = await ask(transcript);
    expect(first.state).toBe("miss");
    const again = await ask(transcript);
    expect(again.seen).toEqual(first.seen);
    expect(JSON.stringify(first.seen).length).toBeGreaterThan(2);
    const kept = !unfit.test(name);
    expect([again.state, calls.length]).toEqual(kept ? ["hit", 1] : ["miss", 2]);
  });

  test("what has to be kept was among them", () => {
    const kept = recorded.filter(({ name }) => !unfit.test(name));
    const bodies = (api: string): string =>
      kept.flatMap((one) => (one.api === api ? [one.answerBody.toString()] : [])).join();
    for (const api of APIS.slice(0, 3)) expect(bodies(api)).toMatch(/_tokens_details"/);
    expect(bodies("openai.chat")).toMatch(/"tool_calls"[\s\S]*"reasoning/);
    expect(bodies("openai.responses")).toContain('"function_call"');
    expect(bodies("anthropic.messages")).toMatch(/"tool_use"/);
    for (const api of APIS) {
      const types = new Set(kept.flatMap((one) => (one.api === api ? [one.answerType.split(";")[0]] : [])));
      expect([api, types.size]).toEqual([api, api === "openai.embeddings" ? 1 : 2]);
    }
  });
});

const isStream = (data: unknown): data is AsyncIterable<unknown> =>
  typeof data === "object" && data !== null && Symbol.asyncIterator in data;
