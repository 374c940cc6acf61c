import { describe, expect, it } from "vitest";
import xxhash from "xxhash-wasm";
import { CacheHost, open, say, seen } from "./cache-driver.ts";
import { type Asked, both, second } from "./cache-sharing.ts";
import { type Headers, RouterHost } from "./router-driver.ts";

/** Attempts to have others get an answer that is not theirs. */

describe("attempts to poison", () => {
  it("with long values: the whole value counts", async () => {
    const rules = [{ name: "all", key: [{ header: "x-k" }], headers: ["x-h"] }];
    const cache = await CacheHost.start({ tenantHeader: "x-t", rules });
    const long = (size: number, end: string) => `${"v".repeat(size - end.length)}${end}`;
    for (const size of [495, 496, 497, 511, 512, 513, 528, 1_000, 65_536])
      for (const name of ["x-k", "x-h", "x-t", ":authority"]) {
        const asked = (value: string): Asked => ({
          body: say(`${size} ${name}`),
          headers: [...(name === "x-k" ? [] : ([["x-k", "k"]] as Headers)), [name, value]],
        });
        expect([name, size, second(cache, asked(long(size, "a")), asked(long(size, "b")))]).toEqual([
          name,
          size,
          "apart",
        ]);
      }
    expect(cache.trapped).toBe(false);
  });

  it("with a value that looks like a longer one that was cut", async () => {
    const cache = await CacheHost.start({ rules: [{ name: "all", key: [{ header: "x-k" }] }] });
    const long = "v".repeat(600);
    const { h64 } = await xxhash();
    const kept = 496;
    const hash = h64(long.slice(kept), h64(""));
    const forged = long.slice(0, kept) + hash.toString(16).padStart(16, "0");
    expect(forged.length).toBe(512);
    expect(second(cache, { headers: [["x-k", long]] }, { headers: [["x-k", forged]] })).toBe("apart");
  });

  it("with headers that are ours: nobody sees them", async () => {
    const cache = await CacheHost.start();
    const forged: Headers = [
      ["x-llm-cache", "hit"],
      ["x-llm-cache-key", "0".repeat(32)],
      ["x-llm-route", "evil"],
      ["x-llm-cluster", "evil"],
      ["x-llm-model", "evil"],
      ["x-gateway-destination-endpoint", "10.0.0.1:80"],
    ];
    const stream = cache.answer(cache.ask(say("q"), forged), both[0]);
    expect(seen(stream)).toMatchObject({ upstream: true, cache: "miss" });
    for (const [name] of forged) expect([name, stream.upstream.headers?.get(name)]).toEqual([name, undefined]);
    expect(cache.call(say("q"), both[1])).toMatchObject({ cache: "hit", body: both[0] });
  });

  it("with a length that is none", async () => {
    for (const length of ["0", "1", "99999", "-1", "x", "", "1,2"]) {
      const cache = await CacheHost.start();
      const got = cache.call(say("q"), both[0], [["content-length", length]]);
      expect([length, got.upstream, cache.trapped]).toEqual([length, true, false]);
      expect(cache.call(say("r"), both[1])).toMatchObject({ cache: "miss", body: both[1] });
    }
  });

  it.each([
    ["bytes that are no UTF-8", Buffer.from(JSON.stringify(say("\u00ff")), "latin1")],
    ["an overlong letter", Buffer.concat([Buffer.from('{"model":"'), Buffer.from([0xc1, 0xad]), Buffer.from('"}')])],
    ["two models", Buffer.from('{"model":"a","messages":[],"model":"b"}')],
    ["two models, one in escapes", Buffer.from('{"model":"a","messages":[],"mod\\u0065l":"b"}')],
    ["something behind the object", Buffer.from(`${JSON.stringify(say("q"))}{}`)],
    ["an array", Buffer.from("[]")],
    ["nothing", Buffer.from("")],
    ["half of it", Buffer.from('{"model":"m","messages":[')],
    ["a form", Buffer.from("--b\r\n\r\n--b--")],
  ])("with %s: refused, and nothing is kept", async (_name, body) => {
    const cache = await CacheHost.start();
    for (let i = 0; i < 2; i++) expect(cache.call(body)).toMatchObject({ upstream: false, status: "400" });
    expect(cache.counters("answers")).toEqual({});
    expect(cache.trapped).toBe(false);
  });

  it("with a byte order mark, which some parsers pass over: past the cache", async () => {
    const cache = await CacheHost.start();
    const marked = Buffer.from(`\ufeff${JSON.stringify(say("q"))}`);
    expect(second(cache, { body: say("q") }, { body: marked })).toBe("bypass");
  });

  it("with a body so deep or so wide that nobody can tell what it is: past the cache", async () => {
    const cache = await CacheHost.start();
    const deep = `{"model":"m","messages":[],"x":${"[".repeat(60)}1${"]".repeat(60)}}`;
    const wide = JSON.stringify({
      ...say("q"),
      x: Object.fromEntries(Array.from({ length: 50_000 }, (_, i) => [`k${i}`, i])),
    });
    for (const body of [deep, wide]) {
      const states = [0, 1].map((i) => cache.call(body, both[i]));
      // Either it is told exactly, or it shares with nobody.
      for (const [i, got] of states.entries())
        expect(got.upstream ? got.body === both[i] : got.body === both[0] || got.status === "400").toBe(true);
    }
    const changed = wide.replace('"k49999":49999', '"k49999":49998');
    expect(cache.call(changed, both[1]).body).toBe(both[1]);
    expect(cache.trapped).toBe(false);
  });

  it("with a huge body: the last byte counts, and too large is refused", async () => {
    const cache = await CacheHost.start();
    const huge = (end: string) => say("x".repeat(3_000_000) + end);
    expect(second(cache, { body: huge("a") }, { body: huge("b") })).toBe("apart");
    expect(cache.call(say("x".repeat(11_000_000)))).toMatchObject({ upstream: false, status: "413" });
    expect(cache.trapped).toBe(false);
  });

  it("by the upstream: its headers are not ours, and its answer is only what it says it is", async () => {
    const cache = await CacheHost.start();
    const told = {
      "x-llm-cache": "hit",
      "x-llm-cache-key": "0".repeat(32),
      age: "99",
      "cache-control": "public, max-age=999999",
      "set-cookie": "a=b",
      etag: "e",
    };
    expect(cache.call(say("q"), { headers: told, pieces: [both[0]] })).toMatchObject({ cache: "miss" });
    const again = cache.call(say("q"));
    expect(again).toMatchObject({ cache: "hit", headers: { age: "0" } });
    expect(again.headers["x-llm-cache-key"]).not.toBe("0".repeat(32));
    expect(again.headers).not.toHaveProperty("set-cookie");
    expect(again.headers).not.toHaveProperty("etag");
    expect(cache.call(say("q"), both[1], [["cache-control", "max-age=0"]])).toMatchObject({ cache: "hit" });
    const types = [
      "text/html",
      "text/plain",
      "application/jsonp",
      "application/json-seq",
      "application/xml",
      "",
      "text/event-stream",
      "application/octet-stream",
      "multipart/mixed",
    ];
    for (const type of types) {
      const body = say(`type ${type}`);
      cache.call(body, { type, pieces: [both[0]] });
      expect([type, cache.call(body, both[1]).body]).toEqual([type, both[1]]);
    }
    for (const type of ["application/json; charset=utf-8", "Application/JSON", "application/json;x=y"]) {
      const body = say(`type ${type}`);
      cache.call(body, { type, pieces: [both[0]] });
      expect(cache.call(body)).toMatchObject({ cache: "hit", headers: { "content-type": type } });
    }
  });

  it("by an upstream that claims to be the cache where no rule is, or the key is not shown", async () => {
    const hidden = await CacheHost.start(open({ showKey: false }));
    const headers = { "x-llm-cache-key": "0".repeat(32), "x-llm-cache": "hit" };
    const { headers: shown } = hidden.call(say("q"), { headers });
    expect(shown["x-llm-cache"]).toBe("miss");
    expect(hidden.call(say("q")).headers).not.toHaveProperty("x-llm-cache-key");
  });

  it("by a fallback: the answer of another target is not the first one's", async () => {
    const gateway = await RouterHost.start(
      {
        promptCache: open(),
        router: {
          targets: { a: { cluster: "a" }, b: { cluster: "b" } },
          rules: [{ name: "r", targets: [{ target: "a" }], fallback: { targets: ["b"], statuses: [503] } }],
        },
      },
      { wasm: "build/filters/llm-gateway.wasm", rootId: "llm-gateway" },
    );
    const body = JSON.stringify(say("q"));
    const state = (stream: ReturnType<typeof gateway.send>) => stream.downstream.headers?.get("x-llm-cache");
    const failed = gateway.send(body);
    gateway.attempt(failed, { target: "a" }).responseHeaders({ ":status": "503" }, { endOfStream: true });
    const fallen = gateway.attempt(failed, { target: "b" });
    const answer = (request: typeof failed, attempt: typeof failed, text: string) => {
      attempt.responseHeaders({
        ":status": "200",
        "content-type": "application/json",
        date: "d",
        server: "s",
        via: "v",
        x: "y",
      });
      attempt.responseBody(text, { endOfStream: true });
      request.responseHeaders(attempt.downstream.headers?.pairs() ?? []);
      request.responseBody(text, { endOfStream: true });
    };
    answer(failed, fallen, both[0]);
    expect([state(failed), failed.downstream.text]).toEqual(["miss", both[0]]);
    const next = gateway.send(body);
    expect(next.upstream.ended).toBe(true);
    answer(next, gateway.attempt(next, { target: "a" }), both[1]);
    expect(state(next)).toBe("miss");
    expect(seen(gateway.send(body))).toMatchObject({ upstream: false, cache: "hit", body: both[1] });
    expect(gateway.trapped).toBe(false);
  });
});
