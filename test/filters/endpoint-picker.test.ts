import { describe, expect, it } from "vitest";
import { addresses, inflight, listOf, PickerHost, poolOf, say, topic } from "./picker-driver.ts";
import { refusalOf } from "./router-driver.ts";

/** Which endpoints a request is offered: by what is cached where, by loads, by keys, in several workers and from one configuration to the next. */

const system = topic("system prompt", 6_000);
const gateway = { wasm: "build/filters/llm-gateway.wasm", rootId: "llm-gateway" };

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
