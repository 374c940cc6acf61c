import { describe, expect, it } from "vitest";
import { CacheHost, type CacheOptions, document, open, say, seen } from "./cache-driver.ts";
import { AnswersDouble } from "./cache-service.ts";
import type { Headers } from "./router-driver.ts";

/** What all Envoys share: entries of the service, its failures, and its purges. */

const config = (more: object = {}, service: object = {}) => ({
  tenantHeader: "x-t",
  service: { cluster: "answers", timeoutMs: 50, ...service },
  ...open(more),
});

async function start(more: object = {}, options: CacheOptions = {}, service: object = {}) {
  const cache = await CacheHost.start(config(more, service), options);
  const kept = new AnswersDouble(cache.host);
  // One worker is the listener from the second tick on.
  cache.host.advance(1_500);
  const call = (text: string, answer: string, headers: Headers = [], worker = 0) => {
    const stream = cache.ask(say(text), headers, worker);
    cache.host.advance(0);
    if (stream.localReply === undefined && stream.upstream.ended) cache.answer(stream, answer);
    cache.host.advance(0);
    return seen(stream);
  };
  return { cache, kept, call };
}

describe("the service", () => {
  it("gets what is stored, and gives it to another Envoy", async () => {
    const one = await start();
    expect(one.call("q", document("x"))).toMatchObject({ upstream: true, cache: "miss" });
    expect(one.kept.entries.size).toBe(1);
    const other = await start();
    for (const [key, value] of one.kept.entries) other.kept.entries.set(key, value);
    other.cache.host.advance(2_500);
    const got = other.call("q", document("y"));
    expect(got).toMatchObject({ upstream: false, cache: "hit", body: document("x") });
    expect(Number(got.headers.age)).toBe(2);
    const gets = other.kept.calls.Get;
    expect(other.call("q", document("y"))).toMatchObject({ cache: "hit", body: document("x") });
    expect(other.kept.calls.Get).toBe(gets);
    expect(other.cache.counters("requests")).toEqual({ "rule=all;outcome=shared": 1, "rule=all;outcome=hit": 1 });
  });

  it("is not believed what it says of others", async () => {
    const one = await start();
    one.call("q", document("x"), [["x-t", "a"]]);
    const [entry = Buffer.alloc(0)] = one.kept.entries.values();
    const changed = (change: (bytes: Buffer) => void) => {
      const bytes = Buffer.from(entry);
      change(bytes);
      return bytes;
    };
    const wrong: [string, Buffer][] = [
      ["another tenant's", changed((bytes) => bytes.writeUInt8(bytes.readUInt8(24) ^ 1, 24))],
      ["another model's", changed((bytes) => bytes.writeUInt8(bytes.readUInt8(32) ^ 1, 32))],
      ["another API's", changed((bytes) => bytes.writeUInt8(4, 4))],
      ["a stream", changed((bytes) => bytes.writeUInt8(1, 5))],
      ["one that is over", changed((bytes) => bytes.writeBigInt64LE(bytes.readBigInt64LE(8) + 1n, 16))],
      ["one that ends before it begins", changed((bytes) => bytes.writeBigInt64LE(0n, 16))],
      ["one of another kind", changed((bytes) => bytes.write("TMA2"))],
      ["one that is too short", entry.subarray(0, entry.length - 1)],
      ["one that is too long", Buffer.concat([entry, Buffer.from("x")])],
      ["a head only", entry.subarray(0, 64)],
      ["bytes", Buffer.from("x")],
      ["nothing", Buffer.alloc(0)],
      ["a content-type that ends a header", changed((bytes) => bytes.write("\r\n", 66))],
      ["a body without end", changed((bytes) => bytes.writeUInt32LE(0xffff_ffff, 52))],
    ];
    for (const [name, bytes] of wrong) {
      const other = await start();
      other.kept.entries.set([...one.kept.entries.keys()][0] ?? "", bytes);
      other.cache.host.advance(10);
      expect([name, other.call("q", document("own"), [["x-t", "a"]]).body]).toEqual([name, document("own")]);
      expect(other.cache.trapped).toBe(false);
    }
  });

  it("that fails, says nothing or nonsense is one cache less", async () => {
    for (const mood of ["fail", "hold", "nonsense"] as const) {
      const { cache, kept } = await start();
      kept.mood = mood;
      const stream = cache.ask(say("q"));
      cache.host.advance(60);
      expect([mood, stream.upstream.ended]).toEqual([mood, true]);
      cache.answer(stream, document("x"));
      expect(cache.call(say("q"))).toMatchObject({ cache: "hit", body: document("x") });
      expect(cache.counters("events")).toMatchObject({ "event=service_failed": 1 });
    }
  });

  it("is left alone for a second when it fails again and again", async () => {
    const { cache, kept } = await start();
    kept.mood = "fail";
    for (let i = 0; i < 3; i++) {
      const stream = cache.ask(say(`q${i}`));
      cache.host.advance(1);
      expect(stream.upstream.ended).toBe(true);
    }
    const asked = kept.calls.Get;
    expect(cache.ask(say("next")).upstream.ended).toBe(true);
    expect(kept.calls.Get).toBe(asked);
    cache.host.advance(1_100);
    cache.ask(say("then"));
    expect(kept.calls.Get).toBe(asked + 1);
  });

  it("is asked once for all who want the same", async () => {
    const { cache, kept } = await start({}, { workers: 2 });
    kept.mood = "hold";
    const all = [0, 0, 1, 1].map((worker) => cache.ask(say("q"), [], worker));
    expect(kept.calls.Get).toBe(1);
    cache.host.advance(60);
    expect(all.map((one) => one.upstream.ended)).toEqual([true, false, false, false]);
    cache.answer(all[0] ?? cache.ask(say("q")), document("x"));
    cache.host.advance(1_000);
    for (const one of all.slice(1)) expect(seen(one)).toMatchObject({ cache: "coalesced", body: document("x") });
  });

  it("answers a request whose client has gone: nobody hears of it", async () => {
    const { cache, kept } = await start();
    kept.mood = "hold";
    const gone = cache.ask(say("q"));
    gone.end();
    cache.host.advance(100);
    kept.mood = "answer";
    const stream = cache.ask(say("q"));
    cache.host.advance(1);
    expect(stream.upstream.ended).toBe(true);
    expect(cache.trapped).toBe(false);
  });
});

describe("a purge", () => {
  const tenant = (name: string): Headers => [["x-t", name]];
  const bodyOf = (got: { body: string }) => got.body;

  it("of a key, a model, a tenant or everything is heard at once, and by all workers", async () => {
    for (const what of ["key", "model", "tenant", "all"] as const) {
      const { cache, kept, call } = await start({}, { workers: 2 });
      const first = call("q", document("old"), tenant("a"));
      call("other", document("kept"), tenant("b"));
      cache.host.advance(300);
      const key = first.headers["x-llm-cache-key"] ?? "";
      kept.purge(
        what === "key" ? { key } : what === "model" ? { model: "m" } : what === "tenant" ? { tenant: "a" } : "all",
      );
      cache.host.advance(300);
      const dead = what === "model" || what === "all";
      expect([what, bodyOf(call("q", document("new"), tenant("a"), 1))]).toEqual([what, document("new")]);
      expect([what, bodyOf(call("other", document("new"), tenant("b"), 0))]).toEqual([
        what,
        document(dead ? "new" : "kept"),
      ]);
      expect(bodyOf(call("q", document("newer"), tenant("a"), 0))).toBe(document("new"));
      expect(Object.keys(cache.counters("events"))).toContain("event=purged");
    }
  });

  it("also means an answer that is on its way", async () => {
    const { cache, kept } = await start();
    const running = cache.ask(say("q"));
    cache.host.advance(100);
    kept.purge({ model: "m" });
    cache.host.advance(300);
    cache.answer(running, document("old"));
    cache.host.advance(10);
    const next = cache.ask(say("q"));
    cache.host.advance(1);
    expect(next.upstream.ended).toBe(true);
  });

  it("also means an old answer that stands in for a failure", async () => {
    const { cache, kept, call } = await start({ ttlMs: 1_000, staleIfErrorMs: 60_000 });
    call("q", document("old"));
    cache.host.advance(2_000);
    const running = cache.ask(say("q"));
    cache.host.advance(1);
    kept.purge("all");
    cache.host.advance(300);
    cache.answer(running, { status: "503", pieces: ["no"] });
    expect(seen(running)).toMatchObject({ status: "503", body: "no" });
  });

  const stillThere = async (between: (cache: CacheHost) => void) => {
    const { cache, kept, call } = await start({ ttlMs: 60_000 });
    kept.forgets = false;
    call("q", document("x"));
    cache.host.advance(100);
    kept.purge({ model: "m" });
    cache.host.advance(300);
    between(cache);
    return bodyOf(call("q", document("y")));
  };

  it("also means an answer that the service still has", async () => {
    expect(await stillThere(() => {})).toBe(document("y"));
  });

  it("also means an answer that the service still has, in a VM that has just begun", async () => {
    // Another memory: nothing is found in it, so nothing was read besides.
    const more = { ...config({ ttlMs: 60_000 }), maxBytes: 2 << 20 };
    expect(await stillThere((cache) => cache.configure(more))).toBe(document("y"));
  });

  it("of another name changes nothing", async () => {
    const { cache, kept, call } = await start();
    call("q", document("x"), tenant("a"));
    cache.host.advance(10);
    for (const what of [{ key: "0".repeat(32) }, { model: "n" }, { tenant: "b" }, { tenant: "" }]) kept.purge(what);
    cache.host.advance(300);
    expect(bodyOf(call("q", document("y"), tenant("a")))).toBe(document("x"));
  });

  it("is heard of again when the service has lost its memory, and when a call failed", async () => {
    const { cache, kept, call } = await start();
    call("q", document("x"));
    cache.host.advance(10);
    kept.mood = "fail";
    kept.flush();
    cache.host.advance(3_000);
    kept.purge({ model: "m" });
    cache.host.advance(500);
    kept.mood = "answer";
    cache.host.advance(3_000);
    expect(bodyOf(call("q", document("y")))).toBe(document("y"));
    kept.restart();
    kept.flush();
    cache.host.advance(16_000);
    kept.purge("all");
    cache.host.advance(1_000);
    expect(bodyOf(call("q", document("z")))).toBe(document("z"));
    expect(cache.trapped).toBe(false);
  });
});
