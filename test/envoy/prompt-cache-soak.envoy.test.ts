/**
 * 60,000 requests through llm-gateway with all its stages, with a cache that is full all the time: memory that does not grow with their number. Keys are asked for
 * as often as Zipf's law says; answers are documents and streams of many sizes, some too large to keep, some errors; now and then clients go away.
 */
import { readFile } from "node:fs/promises";
import { createServer, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import {
  cluster,
  EnvoyProcess,
  httpListener,
  newestVersion,
  staticBootstrap,
  waitFor,
  wasmFilter,
} from "../../envoy/harness/index.ts";
import { WASM_DIR } from "./gateways.ts";
import { http1 } from "./http-client.ts";
import { postRequest, runLoad } from "./load.ts";

const REQUESTS = Number(process.env.TOKENMESH_SOAK_CACHE_REQUESTS ?? 60_000);
const CONNECTIONS = 32;
/** Allocator and kernel noise over half a run, in which 100 bytes that are kept of each request are as much. */
const NOISE_BYTES = 3 * 1024 * 1024;
/** A thousand and a half of the answers here, and the largest of them a part in 64 of it. */
const CACHE_BYTES = 1024 * 1024;
const KEYS = 8_000;
const GONE_PER_QUARTER = 50;
const PATH = "/v1/chat/completions";

const isStream = (key: number): boolean => key % 3 === 0;
/** One key in 50. */
const fails = (key: number): boolean => key % 50 === 7;
/** Up to 4 KB of text; one key in 50 has more than is kept of an answer. */
const textOf = (key: number): string => "ab ".repeat(key % 50 === 11 ? 8_000 : (key * 7_919) % 1_300);
const name = (key: number): string => `question ${key}.`;

function answerTo(key: number): string {
  const head = { id: `chatcmpl-${key}`, created: 1, model: "m-1" };
  const usage = { prompt_tokens: 12, completion_tokens: 34, total_tokens: 46 };
  const content = `${name(key)} ${textOf(key)}`;
  if (!isStream(key)) {
    const choices = [{ index: 0, message: { role: "assistant", content }, finish_reason: "stop" }];
    return JSON.stringify({ ...head, object: "chat.completion", choices, usage });
  }
  const event = (choices: object[], more: object = {}): string =>
    `data: ${JSON.stringify({ ...head, object: "chat.completion.chunk", choices, ...more })}\n\n`;
  const delta = (text: string): string => event([{ index: 0, delta: { content: text }, finish_reason: null }]);
  const end = event([{ index: 0, delta: {}, finish_reason: "stop" }]);
  return `${delta(content.slice(0, 20))}${delta(content.slice(20))}${end}${event([], { usage })}data: [DONE]\n\n`;
}

const question = (key: number): string =>
  JSON.stringify({ model: "m", messages: [{ role: "user", content: name(key) }], stream: isStream(key) });

/** Keys 1 to `KEYS`, the k-th with a chance that goes with 1 / k, from a fixed seed. */
function zipf(count: number): number[] {
  const sums: number[] = [];
  for (let key = 1; key <= KEYS; key++) sums.push((sums.at(-1) ?? 0) + 1 / key);
  let state = 42;
  return Array.from({ length: count }, () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    const drawn = (state / 2 ** 32) * (sums.at(-1) ?? 0);
    let [low, high] = [0, KEYS - 1];
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((sums[middle] ?? 0) < drawn) low = middle + 1;
      else high = middle;
    }
    return low + 1;
  });
}

let upstream: Server;
let envoy: EnvoyProcess;
let url: string;
/** Calls that are never answered, by key. */
const open = new Map<number, ServerResponse>();

beforeAll(async () => {
  upstream = createServer((request, response) => {
    let body = "";
    request.setEncoding("utf8").on("data", (text: string) => {
      body += text;
    });
    request.on("end", () => {
      const key = Number(/question (\d+)/.exec(body)?.[1]);
      if (key > KEYS) open.set(key, response);
      else if (fails(key)) response.writeHead(500, { "content-length": 2 }).end("no");
      else {
        const answer = answerTo(key);
        const type = isStream(key) ? "text/event-stream" : "application/json";
        // With a length, also a stream: that is how the load generator finds the end.
        response.writeHead(200, { "content-type": type, "content-length": Buffer.byteLength(answer) });
        response.write(answer.slice(0, answer.length / 2));
        response.end(answer.slice(answer.length / 2));
      }
    });
  });
  await new Promise<void>((resolve) => upstream.listen(0, "127.0.0.1", resolve));
  const address = `127.0.0.1:${(upstream.address() as AddressInfo).port}`;
  const configuration = {
    router: { models: [{ model: "m", route: "u" }] },
    promptCache: { maxBytes: CACHE_BYTES, rules: [{ name: "all", key: [] }] },
    rateLimit: {
      includeUsage: false,
      rules: [{ name: "all", limits: [{ unit: "tokens", amount: 1_000_000_000_000, per: "day" }] }],
    },
    endpointPicker: { pools: [{ name: "u", endpoints: [{ address }] }] },
  };
  const filter = wasmFilter({ name: "llm-gateway", file: join(WASM_DIR, "llm-gateway.wasm"), configuration });
  const bootstrap = staticBootstrap({
    listeners: [httpListener({ name: "llm", httpFilters: [filter], routes: [{ cluster: "u" }] })],
    clusters: [cluster({ name: "u", targets: [address] })],
  });
  envoy = await EnvoyProcess.start({ bootstrap, version: newestVersion(), concurrency: 2 });
  url = `http://${await envoy.listenerAddress("llm")}`;
});
afterAll(async () => {
  await envoy?.stop();
  upstream?.closeAllConnections();
  await new Promise((resolve) => upstream?.close(resolve));
});

interface Memory {
  /** Bytes that Envoy's allocator has handed out, shared data among them. */
  readonly allocated: number;
  /** Resident bytes of the process: includes the linear memories of the Wasm VMs. */
  readonly resident: number;
}

async function memory(): Promise<Memory> {
  const { allocated, totalPhysicalBytes } = await envoy.admin.memory();
  const status = await readFile(`/proc/${envoy.pid}/status`, "utf8").catch(() => "");
  const kilobytes = /^VmRSS:\s+(\d+) kB$/m.exec(status)?.[1];
  return { allocated, resident: kilobytes === undefined ? totalPhysicalBytes : Number(kilobytes) * 1024 };
}

/** Of the filter, by outcome or event; it writes them once a second. */
async function counter(kind: "requests" | "answers" | "events", label: string): Promise<number> {
  const stats = await envoy.admin.stats(`tokenmesh_cache_${kind}`);
  return [...stats].find(([stat]) => stat.endsWith(`=${label}`))?.[1] ?? 0;
}

/** Clients that go away while their call runs, and one that waits for the same. */
async function goneClients(from: number): Promise<void> {
  for (let key = from; key < from + GONE_PER_QUARTER; key++) {
    const gone = new AbortController();
    const ask = () => http1(url, { path: PATH, body: question(key), signal: gone.signal }).catch(() => {});
    const asked = [ask(), ask()];
    await waitFor(() => open.get(key), { what: "a call" });
    gone.abort();
    await Promise.all(asked);
    open.delete(key);
  }
}

test("a cache that is full all the time: memory stays flat", { timeout: 300_000 + REQUESTS * 2 }, async () => {
  const bytes = new Map<number, Buffer>();
  const bytesOf = (key: number): Buffer => {
    const made = bytes.get(key) ?? postRequest(PATH, question(key));
    bytes.set(key, made);
    return made;
  };
  const keys = zipf(Math.min(REQUESTS, 200_000));
  const requests = keys.map(bytesOf);
  const quarter = Math.ceil(REQUESTS / 4);
  const memories: Memory[] = [];
  const evictions: number[] = [];
  const totals = new Map<number, number>();
  let seconds = 0;
  for (let turn = 0; turn < 4; turn++) {
    const at = (turn * quarter) % requests.length;
    const order = [...requests.slice(at), ...requests.slice(0, at)];
    const load = runLoad({ url, requests: order, count: quarter, connections: CONNECTIONS });
    const [done] = await Promise.all([load, goneClients(KEYS + 1 + turn * GONE_PER_QUARTER)]);
    for (const [status, count] of done.statuses) totals.set(status, (totals.get(status) ?? 0) + count);
    seconds += done.seconds;
    memories.push(await memory());
    evictions.push(await counter("events", "evicted"));
  }

  const mb = (value: number): string => (value / 1_048_576).toFixed(1);
  const steps = memories.map(({ allocated, resident }) => `${mb(allocated)} / ${mb(resident)}`);
  const [hits, misses] = [await counter("requests", "hit"), await counter("requests", "miss")];
  console.log(
    `${REQUESTS} requests in ${seconds.toFixed(1)} s, ${hits} hits, ${misses} misses, ${evictions.at(-1)} evictions; ` +
      `allocated / resident MB after each quarter: ${steps.join(", ")}`,
  );
  const [, second, , last] = memories as [Memory, Memory, Memory, Memory];
  expect(last.allocated - second.allocated).toBeLessThan(NOISE_BYTES);
  expect(last.resident - second.resident).toBeLessThan(NOISE_BYTES);
  expect([...totals.keys()].sort()).toEqual([200, 500]);
  expect((totals.get(200) ?? 0) + (totals.get(500) ?? 0)).toBe(4 * quarter);
  // It was a cache, and it was full in every quarter.
  expect(hits).toBeGreaterThan(REQUESTS / 3);
  for (const [index, count] of evictions.entries())
    expect(count - (evictions[index - 1] ?? 0)).toBeGreaterThan(quarter / 20);
  expect(await counter("answers", "large")).toBeGreaterThan(0);
  expect(await counter("answers", "unfit")).toBeGreaterThan(0);
  const stats = await envoy.admin.stats("^wasm\\.|wasmcustom|^http\\.llm\\.downstream_rq_active");
  const trouble = [...stats].filter(([stat, value]) => value > 0 && /vm_reload|unreadable|crash/.test(stat));
  expect(trouble).toEqual([]);
  // And answers are still those to their questions.
  for (const key of [1, 2, 3, ...keys.slice(0, 200).filter((one) => !fails(one))]) {
    const answer = await http1(url, { path: PATH, body: question(key) });
    expect([key, answer.body.toString()]).toEqual([key, answerTo(key)]);
  }
});
