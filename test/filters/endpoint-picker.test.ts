import { describe, expect, it } from "vitest";
import { encodeLoads } from "./loads-message.ts";
import { addresses, listOf, PickerHost, poolOf, say, topic } from "./picker-driver.ts";
import { refusalOf } from "./router-driver.ts";

const system = topic("system prompt", 6_000);
const gateway = { wasm: "build/filters/llm-gateway.wasm", rootId: "llm-gateway" };
const inflight = (host: PickerHost) => host.counters("inflight")["pool=models"] ?? 0;

describe("prefix affinity", () => {
  it("sends prompts with the same beginning to the same endpoint, with two more for retries", async () => {
    const host = await PickerHost.start({ pools: [poolOf(8)] });
    const first = host.ask(say(`${system} one`));
    const list = listOf(first);
    expect(new Set(list).size).toBe(3);
    for (const address of list) expect(addresses(8)).toContain(address);
    host.answer(first);
    for (const question of ["two", "three", "four"]) {
      const next = host.ask(say(`${system} ${question}`));
      expect(listOf(next)[0]).toBe(list[0]);
      expect(next.upstream.headers?.get("x-llm-prefix")).toBe(first.upstream.headers?.get("x-llm-prefix"));
      host.answer(next);
    }
    expect(host.counters("picks")).toEqual({ "pool=models;outcome=key": 1, "pool=models;outcome=affinity": 3 });
    expect(host.trapped).toBe(false);
  });

  it("spreads prompts that have nothing in common", async () => {
    const host = await PickerHost.start({ pools: [poolOf(8)] });
    const used = new Set<string>();
    for (let index = 0; index < 200; index++) {
      const stream = host.ask(say(topic(`topic ${index}`, 2_000)));
      used.add(listOf(stream)[0] ?? "");
      host.answer(stream);
    }
    expect([...used].sort()).toEqual(addresses(8).sort());
  });

  it("leaves an endpoint that has more to do than it may", async () => {
    const host = await PickerHost.start({ pools: [poolOf(4, { leastInflight: 2, bound: 1.5 })] });
    const counts = new Map<string, number>();
    for (let index = 0; index < 40; index++) {
      const to = listOf(host.ask(say(`${system} ${index}`)))[0] ?? "";
      counts.set(to, (counts.get(to) ?? 0) + 1);
    }
    expect(counts.size).toBeGreaterThan(2);
    expect(Math.max(...counts.values())).toBeLessThanOrEqual(Math.ceil(1.5 * (40 / 4)));
  });

  it("reads prompts of more than a window, and the same in any spelling", async () => {
    const host = await PickerHost.start({ pools: [poolOf(8)] });
    const long = topic("long", 200_000);
    const first = host.ask(say(long));
    host.answer(first);
    const spelt = `{ "stream": false, "messages": [ { "content": ${JSON.stringify(long).replaceAll("o", "\\u006f")} , "role" : "user" } ] , "model":"m" }`;
    const second = host.ask(spelt);
    expect(listOf(second)[0]).toBe(listOf(first)[0]);
    host.answer(second);
    expect(host.counters("picks")["pool=models;outcome=affinity"]).toBe(1);
  });

  it("keeps tenants apart", async () => {
    const host = await PickerHost.start({ tenantHeader: "x-tenant", pools: [poolOf(8)] });
    host.answer(host.ask(say(system), [["x-tenant", "a"]]));
    host.answer(host.ask(say(system), [["x-tenant", "b"]]));
    host.answer(host.ask(say(system)));
    expect(host.counters("picks")).toEqual({ "pool=models;outcome=key": 3 });
  });

  it("compares what was predicted with what engines report", async () => {
    const host = await PickerHost.start({ pools: [poolOf(8)] });
    host.answer(host.ask(say(system)), { prompt: 1_500, cached: 0 });
    host.answer(host.ask(say(system)), { prompt: 1_500, cached: 1_400 });
    const counters = host.counters("prompt_tokens");
    expect(counters["pool=models;kind=all"]).toBe(3_000);
    expect(counters["pool=models;kind=cached"]).toBe(1_400);
    expect(counters["pool=models;kind=predicted"]).toBeGreaterThan(1_300);
    expect(counters["pool=models;kind=predicted"]).toBeLessThanOrEqual(1_500);
  });
});

describe("workers", () => {
  it("learn from each other what is cached where, and what is in flight", async () => {
    const host = await PickerHost.start({ pools: [poolOf(8)] }, { workers: 4 });
    // Every worker has had traffic, so all of them listen.
    for (const worker of [0, 1, 2, 3]) host.answer(host.ask(say(topic(`warm ${worker}`, 2_000)), [], worker));
    const key = host.ask(say(`${system} one`));
    const home = listOf(key)[0];
    host.host.advance(1_000);
    for (const worker of [1, 2, 3]) {
      const stream = host.ask(say(`${system} two ${worker}`), [], worker);
      expect(listOf(stream)[0]).toBe(home);
      host.answer(stream);
    }
    expect(host.counters("picks")["pool=models;outcome=affinity"]).toBe(3);
    expect(inflight(host)).toBe(1);
    host.answer(key);
    expect(inflight(host)).toBe(0);
  });

  it("count together", async () => {
    const host = await PickerHost.start({ pools: [poolOf(2, { policy: "least-request" })] }, { workers: 2 });
    host.answer(host.ask(say("a"), [], 1));
    const held = [host.ask(say("a"), [], 0), host.ask(say("a"), [], 0), host.ask(say("a"), [], 0)];
    const busy = held.filter((stream) => listOf(stream)[0] === addresses(2)[0]).length;
    host.host.advance(100);
    const next = host.ask(say("a"), [], 1);
    expect(listOf(next)[0]).toBe(addresses(2)[busy === 2 ? 1 : 0]);
    expect(inflight(host)).toBe(4);
  });
});

describe("endpoints that fail", () => {
  const calm = { pools: [poolOf(2, { policy: "round-robin" })] };
  const pick = (host: PickerHost, answer: object = {}) => {
    const stream = host.ask(say("a"));
    const list = listOf(stream);
    host.answer(stream, answer);
    return list;
  };

  it.each(["500", "503", "529"])("with %s are left alone, and tried out later by one request", async (status) => {
    const host = await PickerHost.start(calm);
    const [bad] = pick(host, { status });
    for (let index = 0; index < 10; index++) expect(pick(host)).not.toContain(bad);
    host.host.advance(1_100);
    const probe = [host.ask(say("a")), host.ask(say("a")), host.ask(say("a"))];
    expect(probe.filter((stream) => listOf(stream)[0] === bad).length).toBe(1);
    for (const stream of probe) host.answer(stream);
    expect(new Set([pick(host)[0], pick(host)[0]])).toEqual(new Set(addresses(2)));
  });

  it.each(["429", "404", "200"])("do not include those that answer %s", async (status) => {
    const host = await PickerHost.start(calm);
    for (let index = 0; index < 4; index++) pick(host, { status });
    expect(new Set([pick(host)[0], pick(host)[0]])).toEqual(new Set(addresses(2)));
  });

  it("are left alone when Envoy tried the next of the list", async () => {
    const host = await PickerHost.start({ pools: [poolOf(3, { policy: "round-robin" })] });
    const stream = host.ask(say("a"));
    const [bad, good] = listOf(stream);
    host.answer(stream, { from: good as string, attempts: 2 });
    for (let index = 0; index < 6; index++) expect(pick(host)).not.toContain(bad);
    expect(host.counters("answers")["pool=models;outcome=moved"]).toBe(1);
  });

  it("do not include one that Envoy passed over without an attempt, as in another subset", async () => {
    const host = await PickerHost.start({ pools: [poolOf(3, { policy: "round-robin" })] });
    const stream = host.ask(say("a"));
    const [passed, other] = listOf(stream);
    host.answer(stream, { from: other as string });
    const picks = [pick(host), pick(host), pick(host)].map(([first]) => first);
    expect(picks).toContain(passed);
  });

  it("do not include those that a client left", async () => {
    const host = await PickerHost.start(calm);
    for (let index = 0; index < 4; index++) host.ask(say("a")).end();
    expect(new Set([pick(host)[0], pick(host)[0]])).toEqual(new Set(addresses(2)));
    expect(inflight(host)).toBe(0);
  });

  it("are known to all workers when one has found out", async () => {
    const host = await PickerHost.start({ pools: [poolOf(3, { policy: "round-robin" })] }, { workers: 2 });
    host.answer(host.ask(say("a"), [], 1));
    const stream = host.ask(say("a"));
    const [bad] = listOf(stream);
    host.answer(stream, { status: "503" });
    host.host.advance(100);
    for (let index = 0; index < 6; index++) {
      const other = host.ask(say("a"), [], 1);
      expect(listOf(other)).not.toContain(bad);
      host.answer(other);
    }
    host.host.advance(1_100);
    const probes = [0, 1].map((worker) => [0, 1, 2, 3].map(() => listOf(host.ask(say("a"), [], worker))[0]));
    for (const picks of probes) expect(picks.filter((pick) => pick === bad).length).toBe(1);
  });

  it("are all there is: then they are asked", async () => {
    const host = await PickerHost.start({ pools: [poolOf(1)] });
    for (let index = 0; index < 3; index++) expect(pick(host, { status: "503" })).toEqual(addresses(1));
  });
});

describe("nobody to pick", () => {
  it("is left to Envoy", async () => {
    const host = await PickerHost.start({ pools: [poolOf(0)] });
    const stream = host.ask(say("a"));
    expect(stream.upstream.headers).toBeDefined();
    expect(listOf(stream)).toEqual([]);
    expect(stream.upstream.headers?.get("x-llm-prefix")).toMatch(/^[0-9a-f]{16}$/);
    host.answer(stream, { from: "10.9.9.9:80" });
    expect(host.counters("picks")).toEqual({ "pool=models;outcome=fallback": 1 });
  });

  it("is refused where that was asked for", async () => {
    const host = await PickerHost.start({ pools: [poolOf(0, { onNone: "refuse" })] });
    expect(refusalOf(host.ask(say("a")))).toBe("no_endpoint");
    expect(host.counters("picks")).toEqual({ "pool=models;outcome=refused": 1 });
  });

  it("includes those that drain and those that serve other models", async () => {
    const [one, two, three] = addresses(3);
    const endpoints = [
      { address: one, draining: true },
      { address: two, models: ["other"] },
      { address: three, models: ["m"] },
    ];
    const host = await PickerHost.start({ pools: [{ name: "models", endpoints }] });
    expect(listOf(host.ask(say("a")))).toEqual([three]);
  });
});

describe("health and priority", () => {
  const [one, two, three, four] = addresses(4) as [string, string, string, string];
  const firsts = async (endpoints: object[]) => {
    const host = await PickerHost.start({ pools: [poolOf(0, { endpoints, policy: "consistent-hash" })] });
    const counts: Record<string, number> = {};
    for (let index = 0; index < 400; index++) {
      const stream = host.ask(say(topic(`t${index}`, 900)));
      const [first = "none"] = listOf(stream);
      counts[first] = (counts[first] ?? 0) + 1;
      host.answer(stream, { from: first });
    }
    return counts;
  };

  it("an unhealthy endpoint gets nothing, a degraded one what healthy ones cannot take", async () => {
    const half = await firsts([
      { address: one },
      { address: two, health: "unhealthy" },
      { address: three, health: "degraded" },
      { address: four, health: "unhealthy" },
    ]);
    // 140 % of a quarter, by healthy and by degraded endpoints alike.
    expect(Object.keys(half).sort()).toEqual([one, three]);
    expect(half[one] ?? 0).toBeGreaterThan(150);
    const most = await firsts([{ address: one }, { address: two }, { address: three, health: "degraded" }]);
    // Two of three are healthy: 93 %.
    expect(most[three] ?? 0).toBeGreaterThan(0);
    expect(most[three] ?? 0).toBeLessThan(80);
    const only = await firsts([{ address: three, health: "degraded" }]);
    expect(only).toEqual({ [three]: 400 });
  });

  it("a conversation that spills over stays where it is", async () => {
    const endpoints = [
      { address: one },
      { address: two, health: "unhealthy" },
      { address: three, priority: 1 },
      { address: four, priority: 1 },
    ];
    const host = await PickerHost.start({ pools: [poolOf(0, { endpoints })] });
    const seen = new Set<string>();
    for (let index = 0; index < 40; index++) {
      const own = new Set<string>();
      for (let turn = 0; turn < 3; turn++) {
        const stream = host.ask(say(topic(`t${index}`, 2_000 + turn * 600)));
        const [first = "none"] = listOf(stream);
        own.add(first);
        host.answer(stream, { from: first });
      }
      expect(own.size).toBe(1);
      for (const address of own) seen.add(address);
    }
    expect([...seen].sort()).toEqual([one, three, four]);
  });

  it("a health that changes goes with the next configuration", async () => {
    const config = (health: string) => ({
      pools: [
        poolOf(0, {
          endpoints: [
            { address: one, health },
            { address: two, priority: 1 },
          ],
        }),
      ],
    });
    const host = await PickerHost.start(config("unhealthy"));
    const asked = () => listOf(host.ask(say("a")))[0];
    expect(asked()).toBe(two);
    host.configure(config("healthy"));
    expect(asked()).toBe(one);
    host.configure(config("degraded"));
    expect(asked()).toBe(two);
  });
});

describe("subsets", () => {
  const config = { pools: [poolOf(4, { subset: { header: "x-subset", metadata: true } })] };
  const [one, two, three] = addresses(4);

  it.each([
    ["one address", `${two}`, [two]],
    ["addresses without ports", "10.0.0.1, 10.0.0.3", [one, three]],
    ["what is in the pool of a list", `9.9.9.9:1,${three}`, [three]],
  ])("of %s are kept", async (_name, hint, allowed) => {
    const host = await PickerHost.start(config);
    for (let index = 0; index < 20; index++) {
      const list = listOf(host.ask(say(topic(`t${index}`, 900)), [["x-subset", hint]]));
      expect([...list].sort()).toEqual([...(allowed as string[])].sort());
    }
  });

  it.each(["[fd00::2]", "fd00::2", "[fd00::2]:8000", "fd00::1:80, fd00::2"])(
    "of addresses of version 6 are kept: %s",
    async (hint) => {
      const endpoints = ["[fd00::1]:8000", "[fd00::2]:8000", "[fd00::2:8000]:80"].map((address) => ({ address }));
      const host = await PickerHost.start({ pools: [poolOf(0, { endpoints, subset: { header: "x-subset" } })] });
      expect(listOf(host.ask(say("a"), [["x-subset", hint]]))).toEqual(["[fd00::2]:8000"]);
    },
  );

  it.each(["", "9.9.9.9", "10.0.0.1:1", ",,", "x".repeat(5_000)])(
    "that leave nobody (%j) are refused",
    async (hint) => {
      const host = await PickerHost.start(config);
      expect(refusalOf(host.ask(say("a"), [["x-subset", hint]]))).toBe("no_endpoint");
    },
  );

  it("may be longer than what is kept of other headers", async () => {
    const host = await PickerHost.start({ pools: [poolOf(100, { subset: { header: "x-subset" } })] });
    const hint = addresses(100).slice(1).join(",");
    for (let index = 0; index < 50; index++) {
      const list = listOf(host.ask(say(topic(`t${index}`, 900)), [["x-subset", hint]]));
      expect(list.length).toBe(3);
      expect(list).not.toContain(one);
    }
  });
});

describe("keys of a consistent hash", () => {
  const hashed = (...key: object[]) => ({ pools: [poolOf(8, { policy: "consistent-hash", key })] });
  const goes = (host: PickerHost, body: object, headers: [string, string][] = []) => {
    const stream = host.ask(body, headers);
    const [to] = listOf(stream);
    host.answer(stream);
    return to;
  };
  const places = (ask: (index: number) => string | undefined) =>
    new Set(Array.from({ length: 40 }, (_, index) => ask(index))).size;

  it.each([
    ["a header", { header: "x-user" }, (v: string): [object, [string, string][]] => [say("a"), [["x-user", v]]]],
    ["a cookie", { cookie: "sid" }, (v: string) => [say("a"), [["cookie", `a=1; sid=${v}; sid2=x`]]]],
    ["a user", { user: true }, (v: string) => [say("a", { user: v }), []]],
    ["a session", { session: true }, (v: string) => [say("a", { session_id: v }), []]],
    ["a prompt", { prefix: true }, (v: string) => [say(v.repeat(600)), []]],
  ] as [string, object, (value: string) => [object, [string, string][]]][])("are %s", async (_name, part, call) => {
    const host = await PickerHost.start(hashed(part));
    const home = goes(host, ...call("alice"));
    for (let index = 0; index < 10; index++) expect(goes(host, ...call("alice"))).toBe(home);
    expect(places((index) => goes(host, ...call(`user-${index}`)))).toBeGreaterThan(4);
  });

  it("are all parts together, and none makes any endpoint as good", async () => {
    const host = await PickerHost.start(hashed({ header: "x-a" }, { header: "x-b" }));
    const at = (a: string, b: string) =>
      goes(host, say("a"), [
        ["x-a", a],
        ["x-b", b],
      ]);
    expect(at("1", "23")).toBe(at("1", "23"));
    expect(places((index) => at("1", `${index}`))).toBeGreaterThan(4);
    expect(places((index) => at(`${index}`, "1"))).toBeGreaterThan(4);
    expect(places(() => goes(host, say("a")))).toBeGreaterThan(4);
  });
});

describe("another configuration", () => {
  it("goes on with what is known of caches and loads", async () => {
    const host = await PickerHost.start({ pools: [poolOf(8)] });
    const first = host.ask(say(`${system} one`));
    const [home] = listOf(first);
    const without = addresses(9).filter((address) => address !== addresses(8).find((other) => other !== home));
    host.configure({ pools: [{ name: "models", endpoints: without.map((address) => ({ address })) }] });
    const second = host.ask(say(`${system} two`));
    expect(listOf(second)[0]).toBe(home);
    expect(host.counters("picks")["pool=models;outcome=affinity"]).toBe(1);
    expect(inflight(host)).toBe(2);
    host.answer(first);
    host.answer(second);
    expect(inflight(host)).toBe(0);
    expect(host.trapped).toBe(false);
  });

  it("never picks an endpoint that is gone, and its requests end without a trace", async () => {
    const host = await PickerHost.start({ pools: [poolOf(2)] });
    const held = [host.ask(say(`${system} one`)), host.ask(say(topic("other", 3_000)))];
    const gone = listOf(held[0] as (typeof held)[0])[0];
    const left = addresses(2).filter((address) => address !== gone);
    host.configure({ pools: [{ name: "models", endpoints: left.map((address) => ({ address })) }] });
    for (let index = 0; index < 10; index++) expect(listOf(host.ask(say(`${system} ${index}`)))).toEqual(left);
    for (const stream of held) host.answer(stream);
    expect(inflight(host)).toBe(10);
  });
});

describe("a feed", () => {
  const config = (more: object = {}) => ({
    feed: { cluster: "loads", intervalMs: 100, maxAgeMs: 1_000 },
    pools: [poolOf(2, more)],
  });
  const [one, two] = addresses(2) as [string, string];

  async function fed(more: object, loads: Parameters<typeof encodeLoads>[0], workers = 1) {
    const host = await PickerHost.start(config(more), { workers });
    let asked = 0;
    host.host.callouts.onGrpcCall("loads", (call) => {
      asked++;
      expect(call.method).toBe("tokenmesh.loads.v1.EndpointLoads/Fetch");
      expect(Buffer.from(call.sent[0] ?? []).toString()).toBe("\n\x06models");
      return { messages: [encodeLoads(loads)] };
    });
    for (let worker = 0; worker < workers; worker++) host.answer(host.ask(say("first"), [], worker));
    host.pass(1_000);
    return { host, asked: () => asked };
  }

  it("is asked by one worker, and all go by its answer", async () => {
    const { host, asked } = await fed(
      { policy: "least-request" },
      [{ address: one, running: 50 }, { address: two }],
      3,
    );
    expect(asked()).toBeGreaterThan(5);
    expect(asked()).toBeLessThan(15);
    for (const worker of [0, 1, 2]) {
      const stream = host.ask(say("a"), [], worker);
      expect(listOf(stream)[0]).toBe(two);
      host.answer(stream);
    }
  });

  it("is not asked when there is no traffic", async () => {
    const { host, asked } = await fed({}, []);
    host.pass(15_000);
    const before = asked();
    host.pass(10_000);
    expect(asked()).toBe(before);
  });

  it("sheds what may be shed while engines are saturated", async () => {
    const shed = { header: "x-priority", values: ["batch"] };
    const { host } = await fed({ shed }, [
      { address: one, waiting: 10 },
      { address: two, kvPermille: 900 },
    ]);
    expect(refusalOf(host.ask(say("a"), [["x-priority", "batch"]]))).toBe("pool_saturated");
    expect(refusalOf(host.ask(say("a"), [["x-priority", "chat"]]))).toBeUndefined();
    expect(refusalOf(host.ask(say("a")))).toBeUndefined();
    expect(host.counters("picks")["pool=models;outcome=shed"]).toBe(1);
  });

  it("sheds nothing while they are not", async () => {
    const shed = { header: "x-priority", values: ["batch"] };
    const { host } = await fed({ shed }, [
      { address: one, waiting: 1 },
      { address: two, kvPermille: 300 },
    ]);
    expect(refusalOf(host.ask(say("a"), [["x-priority", "batch"]]))).toBeUndefined();
  });

  it("says where an adapter is", async () => {
    const loads = [
      { address: one, maxAdapters: 1, active: ["other"] },
      { address: two, maxAdapters: 1, active: ["m"] },
    ];
    const { host } = await fed({ policy: "round-robin", loraAffinity: true }, loads);
    for (let index = 0; index < 5; index++) {
      const stream = host.ask(say("a"));
      expect(listOf(stream)[0]).toBe(two);
      host.answer(stream);
    }
  });

  it.each([
    ["fails", () => ({ status: 14, message: "down" })],
    ["answers nonsense", () => ({ messages: [new Uint8Array([0x0a, 0xff, 0xff])] })],
  ])("that %s changes nothing", async (_name, outcome) => {
    const host = await PickerHost.start(config({ policy: "round-robin" }));
    host.host.callouts.onGrpcCall("loads", outcome);
    host.answer(host.ask(say("a")));
    host.pass(1_000);
    const picks = [0, 1].map(() => listOf(host.ask(say("a")))[0]);
    expect(new Set(picks)).toEqual(new Set([one, two]));
    expect(host.counters("state")["pool=models;event=feed_failed"]).toBeGreaterThan(3);
    expect(host.trapped).toBe(false);
  });
});

describe("engines that say in their answers how busy they are", () => {
  const [one, two] = addresses(2) as [string, string];
  const loaded = (waiting: number) => `TEXT named_metrics.num_requests_waiting=${waiting}`;

  it("are asked, and believed, and clients do not see it", async () => {
    const host = await PickerHost.start({ pools: [poolOf(2, { policy: "least-request", orca: true })] });
    const first = host.ask(say("a"));
    expect(first.upstream.headers?.get("endpoint-load-metrics-format")).toBe("TEXT");
    host.answer(first, { from: one, headers: { "endpoint-load-metrics": loaded(40) } });
    expect(first.downstream.headers?.get("endpoint-load-metrics")).toBeUndefined();
    for (let index = 0; index < 6; index++) {
      const stream = host.ask(say("a"));
      expect(listOf(stream)[0]).toBe(two);
      host.answer(stream);
    }
  });

  it("may say it in trailers, when the answer is over", async () => {
    const host = await PickerHost.start({ pools: [poolOf(2, { policy: "least-request", orca: true })] });
    const first = host.begin(host.ask(say("a")), { from: one });
    first.responseBody('{"choices":[]}').responseTrailers({ "endpoint-load-metrics": loaded(40), "x-other": "1" });
    expect(first.downstream.trailers?.pairs()).toEqual([["x-other", "1"]]);
    for (let index = 0; index < 6; index++) {
      const stream = host.ask(say("a"));
      expect(listOf(stream)[0]).toBe(two);
      host.answer(stream);
    }
  });

  it("are not asked otherwise, and what they say then is the client's", async () => {
    const host = await PickerHost.start({ pools: [poolOf(2, { policy: "round-robin" })] });
    const stream = host.ask(say("a"));
    expect(stream.upstream.headers?.get("endpoint-load-metrics-format")).toBeUndefined();
    host.answer(stream, { headers: { "endpoint-load-metrics": loaded(40) } });
    expect(stream.downstream.headers?.get("endpoint-load-metrics")).toBe(loaded(40));
  });
});

describe("as a stage of the gateway", () => {
  const router = {
    models: [
      { model: "m", route: "a" },
      { model: "n", route: "b", upstreamModel: "served" },
    ],
  };
  const pools = [
    { name: "models", targets: ["a"], endpoints: [{ address: "10.0.0.1:80" }] },
    { name: "others", targets: ["b"], endpoints: [{ address: "10.0.0.2:80", models: ["served"] }] },
  ];

  it("picks among the endpoints of the route, by the name that the upstream knows", async () => {
    const host = await PickerHost.start({ router, endpointPicker: { pools } }, gateway);
    expect(listOf(host.ask(say("a")))).toEqual(["10.0.0.1:80"]);
    expect(listOf(host.ask({ ...say("a"), model: "n" }))).toEqual(["10.0.0.2:80"]);
    expect(refusalOf(host.ask({ ...say("a"), model: "x" }))).toBe("model_not_found");
  });

  it("counts a request that waits for its budget when it is sent on, and one that is refused never", async () => {
    const limits = [{ unit: "requests", amount: 1, per: "minute" }];
    const rateLimit = { rules: [{ name: "r", limits, queueMs: 2_000 }] };
    const host = await PickerHost.start(
      { router, rateLimit, endpointPicker: { pools } },
      { ...gateway, epochMs: 1_800_000_000_000 },
    );
    host.answer(host.ask(say("a")));
    host.host.advance(500);
    const waiting = host.ask(say("b"));
    expect(waiting.upstream.headers).toBeUndefined();
    expect(inflight(host)).toBe(0);
    host.host.advance(3_000);
    expect(refusalOf(waiting)).toBe("rate_limit_exceeded");
    host.host.advance(54_500);
    const later = host.ask(say("c"));
    expect(later.upstream.headers ? "sent" : "held").toBe("held");
    host.host.advance(2_000);
    expect(listOf(later)).toEqual(["10.0.0.1:80"]);
    expect(inflight(host)).toBe(1);
    host.answer(later);
    expect(inflight(host)).toBe(0);
  });
});

describe("bodies that cannot be read", () => {
  it.each(["{", "", '{"model":"m","messages":"\xff"}', '{"messages":[]}'])("%j go by load", async (body) => {
    const host = await PickerHost.start({ pools: [poolOf(3)] });
    const stream = host.ask(body);
    expect(listOf(stream).length).toBe(3);
    host.answer(stream, { status: "400" });
    expect(inflight(host)).toBe(0);
    expect(host.trapped).toBe(false);
  });
});
