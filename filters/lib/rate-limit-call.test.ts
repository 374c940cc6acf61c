import { readFileSync } from "node:fs";
import fc from "fast-check";
import { beforeEach, describe, expect, it } from "vitest";
import { RateLimitRequest } from "../../test/lib/rate-limit-protos.ts";
import { decodeRequest } from "../../xds-server/state/ledger/protocol.ts";

/** Byte for byte what protobufjs writes, and what the ledger reads; the ends of every length; requests that have no room. */

interface Exports {
  memory: WebAssembly.Memory;
  _initialize(): void;
  allocate(size: number): number;
  open(): void;
  begin(domain: number, length: number): void;
  descriptor(): void;
  entry(key: number, keyLength: number, value: number, valueLength: number): void;
  limit(requestsPerUnit: number, unit: number): void;
  hits(units: bigint, negative: boolean): void;
  end(): number;
  overflow(): number;
  ptr(): number;
  length(): number;
  heapTop(): number;
}

const wasm = new WebAssembly.Instance(
  new WebAssembly.Module(readFileSync(new URL("../../build/test-wasm/lib-rate-limit-call.wasm", import.meta.url))),
  { env: { proxy_log: () => 0 } },
).exports as unknown as Exports;
wasm._initialize();

const MAX_CALL = 65_536;

interface Descriptor {
  entries: { key: string; value: string }[];
  limit?: { requestsPerUnit: number; unit: number } | undefined;
  hits?: { units: number; negative: boolean } | undefined;
}

interface Call {
  domain: string;
  descriptors: Descriptor[];
}

/** What the filter would write, in hex: equality of long buffers is slow to ask for. Undefined when there is no room. */
function write({ domain, descriptors }: Call): string | undefined {
  const texts = [domain, ...descriptors.flatMap(({ entries }) => entries.flatMap(({ key, value }) => [key, value]))];
  let at = wasm.allocate(Buffer.byteLength(texts.join("")));
  const place = (text: string): [at: number, length: number] => {
    const bytes = Buffer.from(text);
    new Uint8Array(wasm.memory.buffer, at, bytes.length).set(bytes);
    at += bytes.length;
    return [at - bytes.length, bytes.length];
  };
  wasm.begin(...place(domain));
  for (const { entries, limit, hits } of descriptors) {
    wasm.descriptor();
    for (const { key, value } of entries) wasm.entry(...place(key), ...place(value));
    if (limit !== undefined) wasm.limit(limit.requestsPerUnit, limit.unit);
    if (hits !== undefined) wasm.hits(BigInt(hits.units), hits.negative);
  }
  return written();
}

function written(): string | undefined {
  const complete = wasm.end() !== 0;
  expect(wasm.overflow() !== 0).toBe(!complete);
  if (!complete) expect(wasm.length()).toBe(0);
  return complete ? Buffer.from(wasm.memory.buffer, wasm.ptr(), wasm.length()).toString("hex") : undefined;
}

/** Without empty texts, zeros and false, as serialisers of proto3 leave them out and protobufjs does not. */
const present = (fields: Record<string, string | number | boolean>) =>
  Object.fromEntries(Object.entries(fields).filter(([, value]) => Boolean(value)));

/** What protobufjs writes, if there is room. */
function expected({ domain, descriptors }: Call): string | undefined {
  const object = {
    ...present({ domain }),
    descriptors: descriptors.map(({ entries, limit, hits }) => ({
      entries: entries.map(({ key, value }) => present({ key, value })),
      ...(limit && { limit: present({ requests_per_unit: limit.requestsPerUnit, unit: limit.unit }) }),
      ...(hits && { hits_addend: present({ value: hits.units }), ...present({ is_negative_hits: hits.negative }) }),
    })),
  };
  const bytes = Buffer.from(RateLimitRequest.encode(object).finish());
  return bytes.length > MAX_CALL ? undefined : bytes.toString("hex");
}

/** Most texts are short, some take a length of two bytes. */
const text = fc.oneof(
  { weight: 4, arbitrary: fc.string({ maxLength: 20 }) },
  { weight: 2, arbitrary: fc.string({ unit: "binary", maxLength: 75 }).map((any) => any.toWellFormed()) },
  { weight: 1, arbitrary: fc.integer({ min: 100, max: 300 }).map((length) => "x".repeat(length)) },
);

const descriptor = fc.record<Descriptor>({
  entries: fc.array(fc.record({ key: text, value: text }), { maxLength: 8 }),
  limit: fc.option(fc.record({ requestsPerUnit: fc.nat(0xffff_ffff), unit: fc.integer({ min: 0, max: 6 }) }), {
    nil: undefined,
  }),
  hits: fc.option(fc.record({ units: fc.oneof(fc.nat(300), fc.maxSafeNat()), negative: fc.boolean() }), {
    nil: undefined,
  }),
});
const calls = fc.record<Call>({ domain: text, descriptors: fc.array(descriptor, { maxLength: 32 }) });

/** One descriptor with one entry, whose value has `length` bytes. */
const valued = (length: number, domain = "d"): Call => ({
  domain,
  descriptors: [{ entries: [{ key: "k", value: "v".repeat(length) }] }, { entries: [{ key: "last", value: "1" }] }],
});

beforeEach(() => wasm.open());

describe("a request", () => {
  it("is golden bytes", () => {
    const call: Call = {
      domain: "mesh",
      descriptors: [
        {
          entries: [{ key: "rule", value: "r" }],
          limit: { requestsPerUnit: 300, unit: 2 },
          hits: { units: 128, negative: true },
        },
        { entries: [{ key: "k", value: "" }], hits: { units: 0, negative: false } },
      ],
    };
    const hex = [
      "0a04 6d657368", // domain "mesh"
      "1219", // a descriptor of 25 bytes
      "0a09 0a04 72756c65 1201 72", // entry: key "rule", value "r"
      "1205 08ac02 1002", // limit: 300 per minute
      "1a03 088001", // hits_addend: 128
      "2001", // is_negative_hits
      "1207", // a descriptor of 7 bytes
      "0a03 0a01 6b", // entry: key "k", no value
      "1a00", // hits_addend is there, and 0
    ];
    expect(write(call)).toBe(hex.join("").replaceAll(" ", ""));
  });

  it("is what protobufjs writes, and the ledger reads it", () => {
    let wide = 0;
    fc.assert(
      fc.property(calls, (call) => {
        const bytes = write(call);
        expect(bytes).toBe(expected(call));
        if (bytes === undefined) return;
        if (bytes.length > 2 * 1024) wide++;
        expect(decodeRequest(Buffer.from(bytes, "hex"))).toEqual({
          domain: call.domain,
          hits: 0,
          descriptors: call.descriptors.map(({ entries, limit, hits }) => ({
            entries,
            limit: limit && { ...limit, unitMultiplier: 1 },
            hits: hits?.units,
            negative: hits?.negative ?? false,
          })),
        });
      }),
      { numRuns: 300 },
    );
    expect(wide).toBeGreaterThan(100);
  });

  it("has right lengths on both sides of every border", () => {
    for (const border of [0, 1 << 7, 1 << 14]) {
      // An entry has up to 10 bytes around its value, and each of them crosses the border by itself.
      for (let length = Math.max(0, border - 16); length < border + 16; length++) {
        expect(write(valued(length)), `a value of ${length} bytes`).toBe(expected(valued(length)));
        const named = valued(3, "d".repeat(length));
        expect(write(named), `a domain of ${length} bytes`).toBe(expected(named));
      }
    }
  });

  it("has numbers up to the largest", () => {
    const powers = Array.from({ length: 64 }, (_, bit) => 1n << BigInt(bit));
    for (const units of [...powers, 127n, (1n << 64n) - 1n]) {
      wasm.begin(0, 0);
      wasm.descriptor();
      wasm.limit(0xffff_ffff, 5);
      wasm.hits(units, false);
      const hits = varint(units);
      const wrapped = Buffer.from([0x1a, 1 + hits.length, 0x08, ...hits]).toString("hex");
      const size = Buffer.from([10 + wrapped.length / 2]).toString("hex");
      expect(written()).toBe(`12${size}120808ffffffff0f1005${wrapped}`);
    }
  });

  it("is empty without a domain and descriptors, and a descriptor may be empty", () => {
    expect(write({ domain: "", descriptors: [] })).toBe("");
    expect(write({ domain: "", descriptors: [{ entries: [] }, { entries: [] }] })).toBe("12001200");
  });

  it("may be left unfinished", () => {
    wasm.begin(0, 300);
    wasm.descriptor();
    wasm.limit(9, 1);
    expect(write(valued(5))).toBe(expected(valued(5)));
  });

  it("means the same in any order of calls", () => {
    const at = wasm.allocate(2);
    new Uint8Array(wasm.memory.buffer, at, 2).set(Buffer.from("kv"));
    wasm.begin(0, 0);
    wasm.descriptor();
    wasm.hits(7n, true);
    wasm.limit(9, 1);
    wasm.entry(at, 1, at + 1, 1);
    expect(decodeRequest(Buffer.from(written() ?? "", "hex")).descriptors).toEqual([
      {
        entries: [{ key: "k", value: "v" }],
        limit: { requestsPerUnit: 9, unit: 1, unitMultiplier: 1 },
        hits: 7,
        negative: true,
      },
    ]);
  });
});

describe("room", () => {
  it("ends behind 64 KiB, to the byte, and the next request is a new one", () => {
    write(valued(MAX_CALL - 60));
    const behind = () => Buffer.from(wasm.memory.buffer, wasm.ptr() + MAX_CALL, 8).toString("hex");
    const before = behind();
    const seen = { written: 0, refused: 0 };
    for (let length = MAX_CALL - 40; length < MAX_CALL; length++) {
      const { domain, descriptors } = valued(length);
      // The large descriptor last: it ends where its length needs two bytes more.
      for (const call of [valued(length), { domain, descriptors: descriptors.toReversed() }]) {
        const bytes = expected(call);
        expect(write(call), `a value of ${length} bytes`).toBe(bytes);
        seen[bytes === undefined ? "refused" : "written"]++;
      }
      expect(write(valued(5))).toBe(expected(valued(5)));
    }
    expect(behind()).toBe(before);
    expect(seen.written).toBeGreaterThan(10);
    expect(seen.refused).toBeGreaterThan(10);
  });

  it("ends wherever in the request it ends", () => {
    fc.assert(
      fc.property(
        fc.array(descriptor, { maxLength: 3 }),
        fc.integer({ min: 61_000, max: MAX_CALL }),
        (list, length) => {
          const call = { domain: "d".repeat(length), descriptors: list };
          expect(write(call)).toBe(expected(call));
        },
      ),
      { numRuns: 100 },
    );
  });

  it("is not there for lengths that no text has", () => {
    for (const length of [MAX_CALL + 1, 1 << 20, 0x7fff_ffff, -1, -(2 ** 31)]) {
      wasm.begin(0, length);
      expect(written(), `a domain of ${length} bytes`).toBeUndefined();
      for (const [key, value] of [
        [length, 1],
        [1, length],
        [length, length],
      ] as const) {
        wasm.begin(0, 1);
        wasm.descriptor();
        wasm.entry(0, key, 0, value);
        wasm.entry(0, 1, 0, 1);
        expect(written(), `a key of ${key} bytes and a value of ${value}`).toBeUndefined();
      }
    }
  });

  it("is made once", () => {
    write(valued(60_000));
    const [ptr, top, size] = [wasm.ptr(), wasm.heapTop(), wasm.memory.buffer.byteLength];
    const at = wasm.heapTop();
    for (let i = 0; i < 2000; i++) {
      wasm.begin(at, 9);
      for (let j = 0; j < 1 + (i % 40); j++) {
        wasm.descriptor();
        wasm.entry(at, 30, at, i % 1500);
        wasm.limit(i, 1);
        wasm.hits(BigInt(i), false);
      }
      wasm.end();
    }
    expect([wasm.ptr(), wasm.heapTop(), wasm.memory.buffer.byteLength]).toEqual([ptr, top, size]);
  });
});

function varint(value: bigint): number[] {
  const bytes: number[] = [];
  for (; value > 127n; value >>= 7n) bytes.push(Number(value & 127n) | 128);
  return [...bytes, Number(value)];
}
