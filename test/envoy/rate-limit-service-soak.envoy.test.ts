/** 20,000 requests under a strict limit: no answer but 200, all of them charged, and memory that does not grow with their number. */
import { readFile } from "node:fs/promises";
import { afterAll, beforeAll, expect, test } from "vitest";
import { newestVersion, waitFor } from "../../envoy/harness/index.ts";
import { type Replica, startReplica } from "../../envoy/replica/index.ts";
import { postRequest, runLoad } from "./load.ts";
import { HOUR, type ServiceGateway, startServiceGateway, windowAhead } from "./rate-limit-service-gateway.ts";
import { buildCommand, type LedgerProcess, startLedgerProcess } from "./rate-limit-service-parts.ts";

const REQUESTS = Number(process.env.TOKENMESH_SOAK_STRICT_REQUESTS ?? 20_000);
const WARM_UP = 4_000;
const CONNECTIONS = 32;
/** Allocator and kernel noise over a run; one claim that is kept of each request would be 20 MB. */
const NOISE_BYTES = 5 * 1024 * 1024;
const ANSWER = 4;

let replica: Replica;
let ledger: LedgerProcess;
let gateway: ServiceGateway;

beforeAll(async () => {
  buildCommand();
  replica = await startReplica({ name: "r1", models: ["gpt-4o"], answerTokens: ANSWER, keepRequests: 0 });
  ledger = await startLedgerProcess();
  const limits = [{ unit: "completionTokens", amount: 4_000_000_000, per: "hour" }];
  const rules = [{ name: "soak", key: [{ model: true }], mode: "strict", onFailure: "closed", limits }];
  gateway = await startServiceGateway({ version: newestVersion(), replica, service: ledger.grpcAddress, rules });
});
afterAll(async () => {
  await gateway?.stop();
  await ledger?.close();
  await replica?.close();
});

interface Memory {
  /** Bytes that Envoy's allocator has handed out. */
  readonly allocated: number;
  /** Resident bytes of the process: includes the linear memories of the Wasm VMs. */
  readonly resident: number;
}

async function memory(): Promise<Memory> {
  const { allocated, totalPhysicalBytes } = await gateway.envoy.admin.memory();
  const status = await readFile(`/proc/${gateway.envoy.pid}/status`, "utf8").catch(() => "");
  const kilobytes = /^VmRSS:\s+(\d+) kB$/m.exec(status)?.[1];
  return { allocated, resident: kilobytes === undefined ? totalPhysicalBytes : Number(kilobytes) * 1024 };
}

const chat = (bytes: number): Buffer => {
  const messages = [{ role: "user", content: "lorem ipsum ".repeat(Math.ceil(bytes / 12)) }];
  return postRequest("/v1/chat/completions", JSON.stringify({ messages, max_tokens: 50, model: "gpt-4o" }));
};

test("strict requests are charged exactly, and memory stays flat", { timeout: 300_000 }, async () => {
  await windowAhead(HOUR, 60_000);
  const load = { url: gateway.url, requests: [chat(300), chat(1_000), chat(4_000)], connections: CONNECTIONS };
  await runLoad({ ...load, count: WARM_UP });
  const before = await memory();
  const { statuses, seconds } = await runLoad({ ...load, count: REQUESTS });
  const after = await memory();

  expect([...statuses]).toEqual([[200, REQUESTS]]);
  const mb = (bytes: number): string => (bytes / 1_048_576).toFixed(1);
  console.log(
    `${REQUESTS} requests in ${seconds.toFixed(1)} s; allocated ${mb(before.allocated)} -> ${mb(after.allocated)} MB, ` +
      `resident ${mb(before.resident)} -> ${mb(after.resident)} MB`,
  );
  expect(after.allocated - before.allocated).toBeLessThan(NOISE_BYTES);
  expect(after.resident - before.resident).toBeLessThan(NOISE_BYTES);
  const used = (): Promise<number> => ledger.used("rule=soak", "limit=completionTokens/hour", "model=gpt-4o");
  const expected = (WARM_UP + REQUESTS) * ANSWER;
  await waitFor(async () => (await used()) === expected, { what: `${expected} tokens in the ledger` });
  await waitFor(async () => (await gateway.calls())["reserve ok"] === WARM_UP + REQUESTS, { what: "the counters" });
  const { "settle ok": settles = 0, ...others } = await gateway.calls();
  // What is used goes with the next call; only what was left over on a tick needs one of its own.
  expect(settles).toBeLessThan(REQUESTS / 20);
  expect(others).toEqual({ "reserve ok": WARM_UP + REQUESTS });
});
