/** 100,000 requests through llm-router: no answer but 200, and memory that does not grow with their number. */
import { readFile } from "node:fs/promises";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type Gateway, staticFile } from "./gateways.ts";
import { postRequest, runLoad } from "./load.ts";

const REQUESTS = Number(process.env.TOKENMESH_SOAK_REQUESTS ?? 100_000);
const WARM_UP = 10_000;
const CONNECTIONS = 32;
/** Allocator and kernel noise over a run; one leaked 4 KB body in ten would be 40 MB. */
const NOISE_BYTES = 6 * 1024 * 1024;

let gateway: Gateway;

beforeAll(async () => {
  gateway = await staticFile.start({ replica: { keepRequests: 0, answerTokens: 4 } });
});
afterAll(() => gateway?.close());

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

function requests(): Buffer[] {
  const chat = (model: string, bytes: number): Buffer => {
    const messages = [{ role: "user", content: "lorem ipsum ".repeat(Math.ceil(bytes / 12)) }];
    return postRequest("/v1/chat/completions", JSON.stringify({ messages, max_tokens: 4, model }));
  };
  // Renamed and not renamed, within one window of the filter and (every fiftieth) beyond it.
  const mixed = [chat("gpt-4o", 300), chat("gpt-4.1", 1000), chat("gpt-4o", 4000), chat("claude-haiku-5-5", 4000)];
  return [
    ...Array.from({ length: 49 }, (_, i) => mixed[i % mixed.length] ?? chat("gpt-4o", 1)),
    chat("gpt-4o", 100_000),
  ];
}

test("requests are answered with 200 only, and memory stays flat", { timeout: 300_000 }, async () => {
  const load = { url: gateway.url, requests: requests(), connections: CONNECTIONS };
  await runLoad({ ...load, count: WARM_UP });
  const before = await memory();
  const { statuses, seconds } = await runLoad({ ...load, count: REQUESTS });
  const after = await memory();

  expect([...statuses]).toEqual([[200, REQUESTS]]);
  expect(after.allocated - before.allocated).toBeLessThan(NOISE_BYTES);
  expect(after.resident - before.resident).toBeLessThan(NOISE_BYTES);
  const stats = await gateway.envoy.admin.stats("^wasm\\.|wasmcustom|^http\\.llm\\.downstream_rq_5xx");
  const trouble = [...stats].filter(([name, value]) => value > 0 && /vm_reload|5xx|unreadable|fail/.test(name));
  expect(trouble).toEqual([]);
  const mb = (bytes: number): string => (bytes / 1048576).toFixed(1);
  console.log(
    `${REQUESTS} requests in ${seconds.toFixed(1)} s; allocated ${mb(before.allocated)} -> ${mb(after.allocated)} MB, ` +
      `resident ${mb(before.resident)} -> ${mb(after.resident)} MB`,
  );
});
