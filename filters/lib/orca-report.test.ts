import { readFileSync } from "node:fs";
import fc from "fast-check";
import { describe, expect, it } from "vitest";

interface Exports {
  memory: WebAssembly.Memory;
  _initialize(): void;
  allocate(size: number): number;
  read(at: number, length: number): number;
  waiting(): number;
  running(): number;
  kvPermille(): number;
}

const module = new WebAssembly.Module(
  readFileSync(new URL("../../build/test-wasm/lib-orca-report.wasm", import.meta.url)),
);
const wasm = new WebAssembly.Instance(module, { env: { proxy_log: () => 0 } }).exports as unknown as Exports;
wasm._initialize();

/** Waiting, running, permille of the cache; null when the report says nothing. */
function read(text: string): [number, number, number] | null {
  const bytes = Buffer.from(text);
  const at = wasm.allocate(Math.max(bytes.length, 1));
  new Uint8Array(wasm.memory.buffer, at, bytes.length).set(bytes);
  const found = wasm.read(at, bytes.length) !== 0;
  const values: [number, number, number] = [wasm.waiting(), wasm.running(), wasm.kvPermille()];
  expect(found).toBe(values.some((value) => value !== -1));
  return found ? values : null;
}

describe("a report", () => {
  it.each([
    ["TEXT named_metrics.kv_cache_usage_perc=0.4, named_metrics.num_requests_waiting=1", [1, -1, 400]],
    ["TEXT named_metrics.num_requests_running=7,named_metrics.num_requests_waiting=0", [0, 7, -1]],
    [
      'JSON {"named_metrics": {"kv_cache_usage_perc": 0.125, "num_requests_waiting": 12, "num_requests_running": 256}}',
      [12, 256, 125],
    ],
    ['JSON {"named_metrics":{"gpu_cache_usage_perc":1}}', [-1, -1, 1000]],
    ["TEXT named_metrics.num_requests_waiting=3.0", [3, -1, -1]],
    ["TEXT named_metrics.num_requests_waiting=2e1", [20, -1, -1]],
    ["TEXT kv_cache_usage_perc=0", [-1, -1, 0]],
  ] as [string, [number, number, number]][])("%s is read", (text, expected) => expect(read(text)).toEqual(expected));

  it.each([
    "",
    "TEXT",
    "TEXT cpu_utilization=0.3",
    "TEXT my_num_requests_waiting=3",
    "TEXT num_requests_waiting2=3",
    "TEXT num_requests_waiting",
    "TEXT num_requests_waiting=",
    "TEXT num_requests_waiting 3",
    "TEXT num_requests_waiting=-1",
    "TEXT num_requests_waiting=1000001",
    "TEXT num_requests_waiting=nan",
    "TEXT num_requests_waiting==3",
    "TEXT kv_cache_usage_perc=1.1",
    'JSON {"num_requests_waiting":"x"}',
    `TEXT ${"a".repeat(8192)},num_requests_waiting=1`,
  ])("%j says nothing", (text) => expect(read(text)).toBeNull());

  it("says what stands in it last", () => {
    expect(read("TEXT num_requests_waiting=1, num_requests_waiting=2")).toEqual([2, -1, -1]);
    expect(read("TEXT num_requests_waiting=1, num_requests_waiting=x")).toBeNull();
  });

  it("is what was written, in both formats", () => {
    const counts = fc.record({
      waiting: fc.option(fc.nat(1_000_000), { nil: undefined }),
      running: fc.option(fc.nat(1_000_000), { nil: undefined }),
      kv: fc.option(fc.nat(1000), { nil: undefined }),
      other: fc.stringMatching(/^[a-z_]{0,12}$/),
    });
    fc.assert(
      fc.property(counts, fc.boolean(), ({ waiting, running, kv, other }, json) => {
        const metrics: [string, number][] = [[`x${other}`, 5]];
        if (waiting !== undefined) metrics.push(["num_requests_waiting", waiting]);
        if (running !== undefined) metrics.push(["num_requests_running", running]);
        if (kv !== undefined) metrics.push(["kv_cache_usage_perc", kv / 1000]);
        const text = json
          ? `JSON ${JSON.stringify({ named_metrics: Object.fromEntries(metrics) })}`
          : `TEXT ${metrics.map(([name, value]) => `named_metrics.${name}=${value}`).join(", ")}`;
        const expected = [waiting ?? -1, running ?? -1, kv ?? -1];
        expect(read(text) ?? [-1, -1, -1]).toEqual(expected);
      }),
    );
  });

  it("may be anything", () => {
    fc.assert(fc.property(fc.string({ unit: "binary", maxLength: 300 }), (text) => void read(text)));
  });
});
