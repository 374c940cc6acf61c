import { describe, expect, it } from "vitest";
import { addresses, inflight, listOf, PickerHost, poolOf, say, topic } from "./picker-driver.ts";
import { refusalOf } from "./router-driver.ts";

/** Endpoints that no request goes to: those that fail, are unhealthy, come behind others, or are not in its subset. */

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
