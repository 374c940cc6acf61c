import { describe, expect, it } from "vitest";
import { Status } from "../../test/host/index.ts";
import {
  type Answer,
  answer,
  answerKeys,
  begin,
  day,
  second,
  setKeys,
  startAnswers,
} from "../../test/state/answer-driver.ts";
import { hitRates } from "../../test/state/answer-hits.ts";
import { hashOf } from "../../test/state/eviction.ts";

const key = hashOf(1);
const until = begin + 90 * second;
const later = (ms: number) => begin + ms;
const sized = (bytes: number, fill = 7): Partial<Answer> => ({ body: Buffer.alloc(bytes, fill) });

describe("an answer", () => {
  it("comes back as it was stored, for every worker", async () => {
    const { workers } = await startAnswers();
    const [one, other] = workers;
    const stored = answer({ api: 4, flags: 1, contentType: "text/event-stream; charset=utf-8", ...sized(5000) });
    expect(one.put(key, stored, until, later(5))).toBe("stored");
    for (const worker of workers) {
      expect(worker.find(key, later(10))).toMatchObject({ found: "fresh", staleUntil: until, ...stored });
    }
    expect(other.find(key, later(10))?.entry).toEqual(one.write(stored));
  });

  it("may be empty, and as large as the largest", async () => {
    const { workers } = await startAnswers({ maxEntryBytes: 4096 });
    const [one, other] = workers;
    const longest = 4096 - 64 - 16;
    expect(one.put(hashOf(1), answer(sized(0)), until, begin)).toBe("stored");
    expect(one.put(hashOf(2), answer(sized(longest)), until, begin)).toBe("stored");
    expect(one.put(hashOf(3), answer(sized(longest + 1)), until, begin)).toBe("tooLarge");
    expect(one.takeNothing(hashOf(3), begin)).toBe("tooLarge");
    expect(other.find(hashOf(1), begin)?.body.length).toBe(0);
    expect(other.find(hashOf(2), begin)?.body.length).toBe(longest);
    expect(other.find(hashOf(3), begin)).toBeUndefined();
  });

  it("is a get for a miss, two for a hit, one for what was hit twice, and a set for the first hit", async () => {
    const { workers } = await startAnswers();
    const [one, other] = workers;
    expect(one.find(key, begin)).toBeUndefined();
    expect(one.hostcalls()).toEqual(["get"]);
    one.readPurges(begin);
    one.hostcalls();
    one.put(key, answer(), until, begin);
    expect(one.hostcalls()).toEqual(["get", "set", "set", "get"]);
    one.find(key, later(1));
    expect(one.hostcalls()).toEqual(["get", "get", "set"]);
    one.find(key, later(2));
    expect(one.hostcalls()).toEqual(["get", "get"]);
    for (let i = 3; i < 200; i++) one.find(key, later(i));
    expect(one.hostcalls()).toEqual(Array.from({ length: 197 }, () => "get"));
    // Purges are looked for each 250 ms, only when there is something to serve.
    other.find(key, later(1));
    expect(other.hostcalls()).toEqual(["get", "get", "get"]);
    other.find(key, later(250));
    expect(other.hostcalls()).toEqual(["get", "get"]);
    other.find(key, later(251));
    expect(other.hostcalls()).toEqual(["get", "get"]);
    other.find(hashOf(2), later(9000));
    expect(other.hostcalls()).toEqual(["get"]);
  });

  it("is fresh, then stale, then gone, to the millisecond", async () => {
    const { workers } = await startAnswers();
    const [one] = workers;
    const stored = answer({ expiresAt: later(1500) });
    one.put(key, stored, later(2501), begin);
    expect(one.find(key, later(1499))?.found).toBe("fresh");
    expect(one.find(key, later(1500))?.found).toBe("stale");
    expect(one.find(key, later(2500))?.found).toBe("stale");
    expect(one.find(key, later(2501))).toBeUndefined();
    expect(one.scratchLeft()).toBe(0);
    // Without a time to be stale in.
    one.put(key, stored, 0, begin);
    expect(one.find(key, later(1499))).toMatchObject({ found: "fresh", staleUntil: stored.expiresAt });
    expect(one.find(key, later(1500))).toBeUndefined();
  });

  it("lives for sixty days at most", async () => {
    const { workers } = await startAnswers();
    const [one] = workers;
    one.put(key, answer({ expiresAt: begin + 300 * day }), begin + 400 * day, begin);
    expect(one.find(key, begin + 60 * day - 1)).toMatchObject({ found: "fresh", expiresAt: begin + 60 * day });
    expect(one.find(key, begin + 60 * day)).toBeUndefined();
    one.put(key, answer({ expiresAt: later(1000) }), begin + 400 * day, begin);
    expect(one.find(key, begin + 60 * day - 1)).toMatchObject({ found: "stale", staleUntil: begin + 60 * day });
    expect(one.find(key, begin + 60 * day)).toBeUndefined();
  });

  it("that is over, or of a time to come, is not stored", async () => {
    const { host, workers } = await startAnswers();
    const [one] = workers;
    expect(one.put(key, answer(), until, until)).toBe("dead");
    expect(one.put(key, answer({ storedAt: later(60_001), expiresAt: later(70_000) }), until, begin)).toBe("dead");
    expect(setKeys(host)).toEqual([]);
    expect(one.put(key, answer({ storedAt: later(60_000), expiresAt: later(70_000) }), until, begin)).toBe("stored");
    expect(one.find(key, begin)?.found).toBe("fresh");
    // Nobody knows how old it is once the clock was set back.
    expect(one.find(key, later(-2000))).toBeUndefined();
    expect(one.find(key, begin - day)).toBeUndefined();
    expect(one.put(key, answer({ storedAt: later(9000), expiresAt: later(8999) }), until, later(9000))).toBe("none");
    expect(one.put(key, answer({ storedAt: -1 }), until, begin)).toBe("none");
  });

  it("is replaced by that of a later request only", async () => {
    const { workers } = await startAnswers();
    const [one, other] = workers;
    const of = (storedAt: number) =>
      answer({ storedAt, expiresAt: storedAt + 60_000, body: Buffer.from(`${storedAt}`) });
    one.put(key, of(later(5000)), 0, later(2500));
    expect(other.put(key, of(begin), 0, later(6001))).toBe("newer");
    expect(one.find(key, later(6002))?.storedAt).toBe(later(5000));
    expect(other.put(key, of(later(7000)), 0, later(8000))).toBe("stored");
    expect(one.find(key, later(8001))?.storedAt).toBe(later(7000));
    // Unless it is over, or from a time to come.
    expect(other.put(key, { ...of(later(6500)), expiresAt: later(90_000) }, 0, later(69_000))).toBe("stored");
    expect(other.put(key, of(begin - day), 0, begin - day)).toBe("stored");
    expect(one.find(key, begin - day)?.storedAt).toBe(begin - day);
    const { torn, contention } = one.counters();
    expect({ torn, contention }).toEqual({ torn: 0, contention: 0 });
  });

  it("is of its whole key", async () => {
    const { workers } = await startAnswers();
    const [one] = workers;
    const [low, high] = key;
    one.put(key, answer(), until, begin);
    for (let bit = 0n; bit < 64n; bit++) {
      expect(one.find([low ^ (1n << bit), high], begin)).toBeUndefined();
      expect(one.find([low, high ^ (1n << bit)], begin)).toBeUndefined();
    }
    expect(one.find([high, low], begin)).toBeUndefined();
    expect(one.find(key, begin)?.found).toBe("fresh");
    // Keys of all zeros are keys, too.
    expect(one.find([0n, 0n], begin)).toBeUndefined();
    one.put([0n, 0n], answer(sized(5)), until, begin);
    expect(one.find([0n, 0n], begin)?.body.length).toBe(5);
  });

  it("can be removed", async () => {
    const { host, workers } = await startAnswers();
    const [one, other] = workers;
    expect(one.remove(key)).toBe(false);
    one.put(key, answer(), until, begin);
    expect(other.remove(key)).toBe(true);
    expect(one.find(key, begin)).toBeUndefined();
    expect(other.remove(key)).toBe(false);
    expect(other.scratchLeft()).toBe(0);
    expect(answerKeys(host).map((name) => host.sharedData.get("", name)?.value.length)).toEqual([0]);
  });
});

describe("the slab", () => {
  it("is separate from one of another size", async () => {
    const { host, workers } = await startAnswers();
    const [one, other] = workers;
    other.open(2 << 20, 8192);
    one.put(key, answer(), until, begin);
    expect(other.find(key, begin)).toBeUndefined();
    other.open(1 << 20, 8192);
    expect(other.find(key, begin)?.found).toBe("fresh");
    expect(setKeys(host).length).toBe(1);
  });

  it("stays within its bytes, drops what was not found, and counts that", async () => {
    for (const [maxBytes, maxEntryBytes, bytes] of [
      [1 << 20, 16_384, 300],
      [1 << 20, 16_384, 9000],
      [3_333_333, 4096, 3000],
    ] as const) {
      const { host, workers } = await startAnswers({ maxBytes, maxEntryBytes });
      const [one, other] = workers;
      expect(one.counters()).toMatchObject({ bytes: maxBytes, maxEntryBytes });
      let kept = 0;
      for (let i = 0; i < 2500; i++) {
        const worker = workers[i % 2] ?? one;
        expect(worker.put(hashOf(i), answer(sized(bytes + (i % 7) * 10)), until, begin)).toBe("stored");
        if (i % 5 === 0) one.find(hashOf(0), begin);
      }
      for (let i = 0; i < 2500; i++) if (one.find(hashOf(i), begin)) kept++;
      expect(one.find(hashOf(0), begin)?.found).toBe("fresh");
      expect(one.counters().evictions + other.counters().evictions).toBe(2500 - kept);
      const held = host.sharedData.bytes() + host.sharedData.keys().length * 160;
      expect(held).toBeLessThan(maxBytes);
      // Answers of 300 bytes find no more ways than there are.
      expect(held).toBeGreaterThan(maxBytes * (bytes === 300 ? 0.5 : 0.75));
      for (const worker of workers) {
        expect(worker.counters().used / held).toBeGreaterThan(0.9);
        expect(worker.counters().used / held).toBeLessThan(1.15);
        expect(worker.counters()).toMatchObject({ contention: 0, torn: 0, unavailable: 0 });
      }
    }
  });

  it("gives large answers their share, and takes it back", async () => {
    const { host, workers } = await startAnswers({ maxBytes: 1 << 20, maxEntryBytes: 16_384 });
    const [one] = workers;
    for (let i = 0; i < 3000; i++) one.put(hashOf(i), answer(sized(100)), until, begin);
    for (let i = 3000; i < 3200; i++) {
      expect(one.put(hashOf(i), answer(sized(16_000)), until, begin)).toBe("stored");
      expect(one.find(hashOf(i), begin)?.body.length).toBe(16_000);
      expect(host.sharedData.bytes()).toBeLessThan(1 << 20);
    }
    for (let i = 0; i < 3000; i++) {
      one.put(hashOf(i), answer(sized(100)), until, begin);
      expect(one.find(hashOf(i), begin)?.body.length).toBe(100);
    }
    expect(host.sharedData.bytes()).toBeLessThan(1 << 20);
  });

  it("drops what is over before what lives", async () => {
    const { workers } = await startAnswers({ maxBytes: 262_144, maxEntryBytes: 4096 });
    const [one] = workers;
    for (let i = 0; i < 20; i++) one.put(hashOf(i), answer(sized(2000)), until, begin);
    for (let i = 100; i < 1000; i++) {
      one.put(hashOf(i), answer({ ...sized(2000), expiresAt: later(2000) }), 0, begin);
      one.find(hashOf(i % 20), begin);
    }
    const before = one.counters().evictions;
    const alive = Array.from({ length: 20 }, (_, i) => hashOf(i)).filter((hash) => one.find(hash, begin));
    expect(alive.length).toBeGreaterThan(0);
    for (let i = 1000; i < 1030; i++) one.put(hashOf(i), answer(sized(2000)), until, later(3001));
    for (const hash of alive) expect(one.find(hash, later(3002))?.found).toBe("fresh");
    expect(one.counters().evictions).toBe(before);
  });

  it("serves what a list without sets would, within two of a hundred", { timeout: 60_000 }, async () => {
    const sizes = { maxBytes: 2 << 20, maxEntryBytes: 32_768, requests: 12_000 };
    for (const [mean, sigma, keys] of [
      [2000, 1, 8000],
      [8000, 1.2, 2000],
    ] as const) {
      const { slab, lru, held } = await hitRates({ ...sizes, mean, sigma, keys, s: 1 });
      expect(lru - slab).toBeLessThan(0.02);
      expect(slab).toBeGreaterThan(0.5);
      expect(held).toBeLessThan(1);
    }
  });

  it("takes no more memory of the VM with the time", async () => {
    const { workers } = await startAnswers({ maxBytes: 32 << 20, maxEntryBytes: 400_000 });
    const [one] = workers;
    const round = (from: number) => {
      for (let i = from; i < from + 60; i++) {
        one.put(hashOf(i), answer(sized((i * 7919) % 390_000)), until, begin);
        one.find(hashOf(i - 5), begin);
        one.find(hashOf(i + 9999), begin);
      }
    };
    one.call("outputAt");
    round(0);
    const { pages } = one;
    for (let i = 1; i < 6; i++) round(i * 60);
    expect(one.pages).toBe(pages);
  });
});

describe("other hands", () => {
  it("a host that refuses is a miss", async () => {
    const { host, workers } = await startAnswers();
    const [one] = workers;
    one.put(key, answer(), until, begin);
    for (const call of ["proxy_get_shared_data", "proxy_set_shared_data"] as const) {
      for (let nth = 1; nth < 5; nth++) {
        const disarm = host.faults.inject({
          call,
          status: Status.InternalFailure,
          nth,
          times: Number.POSITIVE_INFINITY,
        });
        one.open(1 << 20, 8192);
        const found = one.find(key, begin);
        if (call.includes("get") && nth < 4) expect(found).toBeUndefined();
        const stored = one.put(hashOf(2), answer(), until, begin);
        expect(["unavailable", "lost", "stored"]).toContain(stored);
        one.remove(key);
        disarm();
        one.put(key, answer(), until, begin);
        expect(one.find(key, begin)?.found).toBe("fresh");
      }
    }
  });

  it("a list of purges that nobody can read is a miss", async () => {
    const { host, workers } = await startAnswers();
    const [one] = workers;
    one.put(key, answer(), until, begin);
    one.open(1 << 20, 8192);
    const disarm = host.faults.inject({ call: "proxy_get_shared_data", status: Status.InternalFailure, nth: 3 });
    expect(one.find(key, begin)).toBeUndefined();
    disarm();
    expect(one.find(key, begin)?.found).toBe("fresh");
  });

  it("a VM that traps between the set and its answer leaves a miss", async () => {
    for (const size of [100, 3000]) {
      const { host, workers } = await startAnswers();
      const [one, other] = workers;
      other.put(key, answer(sized(200)), until, begin);
      host.faults.inject({ call: "proxy_set_shared_data", trap: true, nth: 2 });
      expect(() => one.put(key, answer({ ...sized(size), storedAt: later(5) }), until, later(5))).toThrow();
      expect(other.find(key, later(6))).toBeUndefined();
      expect(other.counters().torn).toBe(1);
      expect(other.put(key, answer({ ...sized(size), storedAt: later(7000) }), until, later(7000))).toBe("stored");
      expect(other.find(key, later(7001))?.found).toBe("fresh");
    }
  });

  it("bytes that are none of ours are a miss, and can be overwritten", async () => {
    const { host, workers } = await startAnswers();
    const [one] = workers;
    one.put(key, answer(), until, begin);
    const [set = ""] = setKeys(host);
    const [data = ""] = answerKeys(host);
    const whole = host.sharedData.get("", set)?.value ?? new Uint8Array();
    const entry = host.sharedData.get("", data)?.value ?? new Uint8Array();
    const wrong = (bytes: Uint8Array) => [
      new Uint8Array(),
      bytes.slice(0, 7),
      bytes.slice(0, -1),
      Buffer.concat([bytes, Buffer.of(0)]),
      bytes.with(0, 0),
      new Uint8Array(bytes.length),
      new Uint8Array(bytes.length).fill(0xff),
    ];
    for (const [name, good] of [
      [set, whole],
      [data, entry],
    ] as const) {
      for (const bytes of wrong(good)) {
        host.sharedData.set("", set, whole, 0);
        host.sharedData.set("", data, entry, 0);
        expect(one.find(key, begin)?.found).toBe("fresh");
        host.sharedData.set("", name, bytes, 0);
        expect(one.find(key, begin)).toBeUndefined();
        expect(one.put(key, answer(sized(77)), until, begin)).toBe("stored");
        expect(one.find(key, begin)?.body.length).toBe(77);
      }
    }
  });

  it("an answer under another way, of another stamp or another key is none", async () => {
    const { host, workers } = await startAnswers();
    const [one] = workers;
    one.put(key, answer(), until, begin);
    const [data = ""] = answerKeys(host);
    const entry = host.sharedData.get("", data)?.value ?? new Uint8Array();
    for (const at of [0, 4, 8, 15, 16, 23, 32]) {
      host.sharedData.set("", data, entry.with(at, (entry[at] as number) ^ 1), 0);
      expect(one.find(key, begin), `byte ${at}`).toBeUndefined();
    }
    expect(one.counters().torn).toBe(7);
    host.sharedData.set("", data, entry, 0);
    expect(one.find(key, begin)?.found).toBe("fresh");
  });
});
