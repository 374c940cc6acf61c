import fc from "fast-check";
import protobuf from "protobufjs";
import { describe, expect, it } from "vitest";
import xxhash from "xxhash-wasm";
import { memoryGrowth } from "../../test/host/flat-memory.ts";
import { Status } from "../../test/host/index.ts";
import { type BoardWorker, begin, get, set, startBoards } from "../../test/state/worker-driver.ts";

/** Answers of the loads feed, made known to all workers. The bytes are protobufjs's. */

const { root } = protobuf.parse(`syntax = "proto3"; package tokenmesh.loads.v1;
  message Loads { repeated EndpointLoad endpoints = 1; }
  message EndpointLoad {
    string address = 1; uint32 age_ms = 2; uint32 waiting = 3; uint32 running = 4; uint32 kv_permille = 5; uint32 block_tokens = 6;
    uint32 blocks = 7; repeated string active_adapters = 8; repeated string waiting_adapters = 9; uint32 max_adapters = 10; bool unknown = 11;
  }`);
const Loads = root.lookupType("tokenmesh.loads.v1.Loads");

interface EndpointLoad {
  address: string;
  ageMs?: number;
  waiting?: number;
  running?: number;
  kvPermille?: number;
  blockTokens?: number;
  blocks?: number;
  activeAdapters?: string[];
  waitingAdapters?: string[];
  maxAdapters?: number;
  unknown?: boolean;
}

const encode = (endpoints: readonly EndpointLoad[]) => Loads.encode(Loads.create({ endpoints })).finish();
const { h64Raw } = await xxhash();
const hash = (text: string) => h64Raw(new TextEncoder().encode(text));
const key = "tm.ep.1.000000000000aaaa.s";

/** What a sink is told of it. */
const toldOf = (load: EndpointLoad, at: number) => ({
  endpoint: hash(load.address),
  at: at - (load.ageMs ?? 0),
  unknown: load.unknown ?? false,
  numbers: [
    Math.min(load.waiting ?? 0, 65_535),
    Math.min(load.running ?? 0, 65_535),
    Math.min(load.kvPermille ?? 0, 1000),
    Math.min(load.blockTokens ?? 0, 65_535),
    load.blocks ?? 0,
    Math.min(load.maxAdapters ?? 0, 65_535),
  ],
  active: (load.activeAdapters ?? []).slice(0, 16).map(hash),
  waiting: (load.waitingAdapters ?? []).slice(0, 16).map(hash),
});

async function started() {
  const boards = await startBoards(2);
  const [asks, other] = boards.workers as [BoardWorker, BoardWorker];
  return { ...boards, asks, other };
}

const number = fc.oneof(fc.nat(50), fc.nat(2000), fc.nat(2 ** 32 - 1));
const names = fc.array(fc.string({ minLength: 1, maxLength: 20 }), { maxLength: 20 });
const endpoint: fc.Arbitrary<EndpointLoad> = fc.record(
  {
    address: fc.ipV4().map((ip) => `${ip}:8000`),
    ageMs: number,
    waiting: number,
    running: number,
    kvPermille: number,
    blockTokens: number,
    blocks: number,
    activeAdapters: names,
    waitingAdapters: names,
    maxAdapters: number,
    unknown: fc.boolean(),
  },
  { requiredKeys: ["address"] },
);

describe("an answer", () => {
  it("is told to all workers as it came", async () => {
    const { asks, other } = await started();
    let now = begin;
    fc.assert(
      fc.property(fc.array(endpoint, { maxLength: 30 }), (endpoints) => {
        now += 250;
        expect(asks.encode(0, encode(endpoints), now)).toBe(true);
        for (const worker of [asks, other]) {
          expect(worker.readSnapshot(0, now + 100)).toBe(true);
          const told = worker.told().snapshots;
          expect(told).toEqual([{ at: now, loads: endpoints.map((load) => toldOf(load, now)) }]);
          expect(worker.report().snapshotAt).toBe(now);
          expect(worker.scratchLeft()).toBe(0);
        }
      }),
      { numRuns: 300 },
    );
  });

  it("may have its fields in any order, twice, and others that nobody knows", async () => {
    const { asks } = await started();
    const writer = protobuf.Writer.create();
    writer.uint32(10).fork();
    writer.uint32((9 << 3) | 2).string("w1");
    writer.uint32((11 << 3) | 0).uint32(1);
    writer.uint32((8 << 3) | 2).string("a1");
    writer.uint32((99 << 3) | 2).string("new");
    writer.uint32((98 << 3) | 5).fixed32(7);
    writer.uint32((3 << 3) | 0).uint32(5);
    writer.uint32((9 << 3) | 2).string("w2");
    writer.uint32((8 << 3) | 2).string("a2");
    writer.uint32((3 << 3) | 0).uint32(6);
    writer.uint32((11 << 3) | 0).uint32(0);
    writer.uint32((1 << 3) | 2).string("10.0.0.1:80");
    writer.ldelim();
    writer.uint32((7 << 3) | 0).uint32(1);
    expect(asks.encode(0, writer.finish(), begin)).toBe(true);
    asks.readSnapshot(0, begin);
    const load = { address: "10.0.0.1:80", waiting: 6, activeAdapters: ["a1", "a2"], waitingAdapters: ["w1", "w2"] };
    expect(asks.told().snapshots).toEqual([{ at: begin, loads: [toldOf(load, begin)] }]);
  });

  it("without an address is of nobody", async () => {
    const { host, asks } = await started();
    const nobody = { address: "", activeAdapters: ["x"], waiting: 3 };
    const somebody = { address: "10.0.0.1:80", activeAdapters: ["y"] };
    expect(asks.encode(0, encode([nobody, somebody, nobody]), begin)).toBe(true);
    asks.readSnapshot(0, begin);
    expect(asks.told().snapshots[0]?.loads).toEqual([toldOf(somebody, begin)]);
    // One endpoint, one adapter.
    expect(host.sharedData.get("", key)?.value.length).toBe(24 + 32 + 8);
  });

  it("has at most 256 endpoints and 1024 adapters", async () => {
    const { host, asks } = await started();
    const adapters = (from: string) => Array.from({ length: 20 }, (_, n) => `${from}${n}`);
    const endpoints = Array.from({ length: 300 }, (_, n) => ({
      address: `10.0.${n >> 8}.${n & 255}:80`,
      waiting: n,
      activeAdapters: n < 40 ? adapters(`a${n}`) : [],
      waitingAdapters: n < 40 ? adapters(`w${n}`) : [],
    }));
    expect(asks.encode(0, encode(endpoints), begin)).toBe(true);
    expect(asks.readSnapshot(0, begin)).toBe(true);
    const loads = asks.told().snapshots[0]?.loads ?? [];
    expect(loads.slice(0, 32)).toEqual(endpoints.slice(0, 32).map((load) => toldOf(load, begin)));
    const bare = endpoints.slice(32, 256).map(({ address, waiting }) => toldOf({ address, waiting }, begin));
    expect(loads.slice(32)).toEqual(bare);
    expect(asks.report().leftOut).toBe(44 + 32 * 8 + 8 * 40);
    expect(host.sharedData.get("", key)?.value.length).toBe(24 + 256 * 32 + 1024 * 8);
    asks.encode(0, encode(endpoints.slice(0, 2)), begin);
    expect(asks.report().leftOut).toBe(16);
  });

  it("that is no message leaves what was there", async () => {
    const { asks, other } = await started();
    const good = encode([
      { address: "10.0.0.1:80", waiting: 300, activeAdapters: ["a", "b"], unknown: true },
      { address: "10.0.0.2:80", blocks: 70_000, waitingAdapters: ["c"] },
    ]);
    const all = [300, 0];
    let cut = 0;
    for (let length = 1; length < good.length; length++) {
      asks.encode(0, encode([{ address: "10.0.0.9:80", waiting: 300 }]), begin + 10 * length);
      const taken = asks.encode(0, good.slice(0, length), begin + 10 * length);
      // Whole endpoints are a message.
      if (!taken) cut++;
      asks.readSnapshot(0, begin + 10 * length);
      const loads = asks.told().snapshots[0]?.loads ?? [];
      expect(loads.map(({ numbers }) => numbers[0])).toEqual(taken ? all.slice(0, loads.length) : [300]);
    }
    expect(cut).toBe(good.length - 2);
    // An endpoint that is none, in a message that is one.
    expect(asks.encode(0, Uint8Array.of(0x0a, 3, 0x0a, 5, 0x31), begin)).toBe(false);
    other.readSnapshot(0, begin);
    other.told();
    fc.assert(
      fc.property(
        fc.oneof(
          fc.uint8Array({ maxLength: 200 }),
          fc.array(fc.tuple(fc.nat(good.length - 1), fc.nat(255)), { minLength: 1, maxLength: 5 }).map((changes) => {
            const changed = good.slice();
            for (const [at, byte] of changes) changed[at] = byte;
            return changed;
          }),
        ),
        (message) => {
          asks.encode(0, message, begin);
          asks.readSnapshot(0, begin);
          for (const { loads } of asks.told().snapshots) {
            for (const { active, waiting } of loads) expect(active.length + waiting.length).toBeLessThanOrEqual(32);
          }
        },
      ),
      { numRuns: 2000 },
    );
  });

  it("that the host refuses is not there", async () => {
    const { host, asks } = await started();
    host.faults.inject({ call: set, status: Status.InternalFailure });
    expect(asks.encode(0, encode([{ address: "10.0.0.1:80" }]), begin)).toBe(false);
    expect(asks.readSnapshot(0, begin)).toBe(false);
    expect(asks.encode(0, encode([{ address: "10.0.0.1:80" }]), begin)).toBe(true);
    host.faults.inject({ call: get, status: Status.InternalFailure });
    expect(asks.readSnapshot(0, begin)).toBe(false);
    expect(asks.readSnapshot(0, begin + 100)).toBe(true);
  });
});

describe("a snapshot", () => {
  it("is looked for each 100 ms, and told once", async () => {
    const { asks, other } = await started();
    const message = encode([{ address: "10.0.0.1:80" }]);
    expect(other.readSnapshot(0, begin)).toBe(false);
    expect(other.hostcalls()).toEqual([get]);
    asks.encode(0, message, begin);
    expect(asks.hostcalls()).toEqual([set]);
    expect(other.readSnapshot(0, begin + 99)).toBe(false);
    expect(other.hostcalls()).toEqual([]);
    expect(other.readSnapshot(0, begin + 100)).toBe(true);
    expect(other.hostcalls()).toEqual([get]);
    expect(other.readSnapshot(0, begin + 200)).toBe(false);
    expect(other.told().snapshots).toHaveLength(1);
    // The same once more is news: it is younger.
    asks.encode(0, message, begin + 250);
    expect(other.readSnapshot(0, begin + 300)).toBe(true);
    expect(other.told().snapshots).toMatchObject([{ at: begin + 250 }]);
    // A clock that was set back.
    asks.encode(0, message, begin - 5000);
    expect(other.readSnapshot(0, begin - 5000)).toBe(true);
    // Who asks need not wait for it.
    asks.readSnapshot(0, begin);
    asks.encode(0, message, begin + 10);
    expect(asks.readSnapshot(0, begin + 11)).toBe(true);
  });

  it("is of its pool", async () => {
    const { host, asks, other } = await started();
    asks.encode(0, encode([{ address: "10.0.0.1:80" }]), begin);
    asks.encode(1, encode([{ address: "10.0.0.2:80" }]), begin);
    for (const [pool, address] of [
      [0, "10.0.0.1:80"],
      [1, "10.0.0.2:80"],
    ] as const) {
      other.readSnapshot(pool, begin);
      expect(other.told().snapshots[0]?.loads).toMatchObject([{ endpoint: hash(address) }]);
    }
    host.sharedData.set("", key, host.sharedData.get("", "tm.ep.1.000000000000bbbb.s")?.value as Uint8Array, 0);
    expect(other.readSnapshot(0, begin + 100)).toBe(false);
  });

  it("that is none is passed over", async () => {
    const { host, asks, other } = await started();
    asks.encode(
      0,
      encode([
        { address: "10.0.0.1:80", activeAdapters: ["a", "b"] },
        { address: "10.0.0.2:80", waitingAdapters: ["c"] },
      ]),
      begin,
    );
    const good = host.sharedData.get("", key)?.value as Uint8Array;
    let now = begin;
    const read = (value: Uint8Array) => {
      host.sharedData.set("", key, value, 0);
      now += 100;
      other.readSnapshot(0, now);
      return other.told().snapshots;
    };
    expect(read(good)[0]?.loads).toHaveLength(2);
    for (let length = 0; length < good.length; length++) expect(read(good.slice(0, length))).toEqual([]);
    expect(read(new Uint8Array([...good, 0]))).toEqual([]);
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.nat(good.length - 1), fc.nat(255)), { minLength: 1, maxLength: 5 }),
        (changes) => {
          const value = good.slice();
          for (const [at, byte] of changes) value[at] = byte;
          for (const { loads } of read(value)) {
            expect(loads.length).toBeLessThanOrEqual(2);
            // Adapters are those of the value, whatever it says.
            for (const { active, waiting } of loads) expect(active.length + waiting.length).toBeLessThanOrEqual(3);
          }
        },
      ),
      { numRuns: 2000 },
    );
    const many = new Uint8Array(24 + 257 * 32);
    many.set(good.slice(0, 24));
    new DataView(many.buffer).setUint16(4, 257, true);
    new DataView(many.buffer).setUint16(6, 0, true);
    expect(read(many)).toEqual([]);
  });
});

it("keeps its memory flat", async () => {
  const { host, asks } = await started();
  const growth = memoryGrowth(host.workerVm(), 2000, (round) => {
    const endpoints = Array.from({ length: round % 50 }, (_, n) => ({ address: `10.0.0.${n}:80`, waiting: round }));
    asks.encode(0, encode(endpoints), begin + round);
    asks.readSnapshot(0, begin + round);
    asks.told();
    asks.hostcalls();
  });
  expect(growth).toBe(0);
});
