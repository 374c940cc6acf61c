import { describe, expect, it } from "vitest";
import { midnight, outcome, told } from "./rate-limit-driver.ts";
import { call, limit, team } from "./rate-limit-requests.ts";
import { CountingService, LedgerService, type Service } from "./rate-limit-service.ts";
import { budget, rule, service, started } from "./rate-limit-service-host.ts";

/** Budgets that a Rate Limit Service keeps: what the filter asks of it, and what becomes of requests and budgets at every answer that can come, or not. */

const strict = (rules = [rule([limit(1_000)])], spec = service()) => started(new LedgerService(), rules, spec);
describe("strict", () => {
  it("holds a request until the service has reserved for it, and settles there for what it used", async () => {
    const { gateway, driver, kept, now, answer, told: settled } = await strict();
    const stream = gateway.ask(call(200), team("a"));
    expect(outcome(stream)).toBe("held");
    await driver.settle();
    expect(outcome(stream)).toBe("ok");
    expect(await kept.used(budget, now())).toBe(210);
    await answer(stream, 12, 30);
    expect(told(stream)).toEqual({ "limit-tokens": "1000", "remaining-tokens": "790", "reset-tokens": "1m0s" });
    expect(await kept.used(budget, now())).toBe(210);
    await settled();
    expect(await kept.used(budget, now())).toBe(42);
    expect(driver.requests.map(({ descriptors }) => descriptors.map(({ entries, hits }) => [entries, hits]))).toEqual([
      [
        [
          [...Object.entries(budget).map(([key, value]) => ({ key, value })), { key: "tokenmesh.model", value: "m" }],
          210,
        ],
      ],
      [
        [
          [
            ...Object.entries(budget).map(([key, value]) => ({ key, value })),
            { key: "tokenmesh.settle", value: String(midnight) },
            { key: "tokenmesh.reserved", value: "210" },
            { key: "tokenmesh.id", value: expect.stringMatching(/^[0-9a-f]{16}-\d+\.0$/) },
            { key: "tokenmesh.model", value: "m" },
          ],
          42,
        ],
      ],
    ]);
    expect(driver.requests[0]?.descriptors[0]?.limit).toEqual({ requestsPerUnit: 1000, unit: 2, unitMultiplier: 1 });
  });

  it("asks once for a request, and tells with that what the one before has used", async () => {
    const { driver, kept, now, ask, answer } = await strict([rule([limit(10_000)])]);
    for (let i = 0; i < 20; i++) await answer(await ask(200), 12, 30);
    expect(driver.requests).toHaveLength(20);
    expect(await kept.used(budget, now())).toBe(19 * 42 + 210);
    const last = await answer(await ask(0), 10, 0);
    expect(told(last)["remaining-tokens"]).toBe(String(10_000 - 20 * 42 - 10));
  });

  it("sends the whole body on, once it is released", async () => {
    const { gateway, driver } = await strict();
    const body = JSON.stringify({ ...call(100), stream: true });
    const stream = gateway.ask(body, team("a"));
    expect(stream.upstream.body.length).toBe(0);
    await driver.settle();
    const sent = Buffer.from(stream.upstream.body).toString();
    expect(JSON.parse(sent)).toMatchObject({ ...call(100), stream_options: { include_usage: true } });
    expect(stream.upstream.headers?.get("content-length")).toBe(String(sent.length));
  });

  it("refuses with what the service says", async () => {
    const { gateway, kept, now, ask } = await strict();
    await ask(890);
    gateway.host.advance(20_000);
    const refused = await ask(200);
    expect(outcome(refused)).toBe("429 rate_limit_exceeded");
    expect(told(refused)).toEqual({
      ...{ "limit-tokens": "1000", "remaining-tokens": "100", "reset-tokens": "40s" },
      ...{ "retry-after": "40", "retry-after-ms": "40000" },
    });
    expect(await kept.used(budget, now())).toBe(900);
    expect(outcome(await ask(90))).toBe("ok");
  });

  it("lets a first request pass, however large", async () => {
    const { ask, kept, now } = await strict();
    expect(outcome(await ask(5_000))).toBe("ok");
    expect(await kept.used(budget, now())).toBe(1_000);
  });

  it("reserves for all rules or for none, here and there", async () => {
    const rules = [
      rule([limit(500)], { name: "here", mode: "local" }),
      rule([limit(1_000), limit(2, "requests")]),
      rule([limit(300)], { name: "model" }),
    ];
    const { gateway, kept, now, ask, answer, told: settled } = await strict(rules);
    const running = await ask(400);
    expect(outcome(running)).toBe("ok");
    expect(outcome(await ask(80))).toBe("429 rate_limit_exceeded");
    await answer(running, 10, 10);
    await settled();
    for (const name of ["team", "model"]) expect(await kept.used({ ...budget, rule: name }, now())).toBe(20);
    expect(await kept.used({ ...budget, limit: "requests/minute" }, now())).toBe(1);
    const next = await answer(await ask(90), 10, 90);
    expect(told(next)).toMatchObject({ "remaining-tokens": "180", "limit-tokens": "300", "remaining-requests": "0" });
    expect(outcome(await ask(90))).toBe("429 rate_limit_exceeded");
    expect(gateway.counters("requests")).toMatchObject({ "rule=here;outcome=admitted": 4 });
  });

  it("lets a rule that is not in force refuse nothing, and counts it", async () => {
    const { gateway, ask } = await strict([rule([limit(100)], { name: "shadow", shadow: true }), rule([limit(1_000)])]);
    expect(outcome(await ask(90))).toBe("ok");
    expect(outcome(await ask(90))).toBe("ok");
    expect(gateway.counters("requests")).toMatchObject({
      "rule=shadow;outcome=shadow_refused": 1,
      "rule=team;outcome=admitted": 2,
    });
  });

  it("gives back what was reserved for a client that went away before the answer", async () => {
    const { gateway, driver, kept, now, told: settled } = await strict();
    const stream = gateway.ask(call(200), team("a"));
    stream.end();
    await driver.settle();
    await settled();
    expect(await kept.used(budget, now())).toBe(0);
    expect(gateway.trapped).toBe(false);
    expect(gateway.counters("calls")).toEqual({ "call=reserve;outcome=ok": 1, "call=settle;outcome=ok": 1 });
  });

  it("leaves nothing behind", { timeout: 60_000 }, async () => {
    const { gateway, kept, now, ask, answer, told: settled } = await strict([rule([limit(1_000_000_000)])]);
    const many = async (count: number) => {
      for (let i = 0; i < count; i++) {
        await answer(await ask(20), 10, 10);
        if (i % 50 === 0) await settled();
      }
    };
    await many(1_000);
    const before = gateway.host.workerVm(0, "limits").memory.pages;
    await many(10_000);
    expect(gateway.host.workerVm(0, "limits").memory.pages).toBe(before);
    gateway.host.advance(60_000);
    await answer(await ask(20), 10, 10);
    await settled();
    expect(await kept.used(budget, now())).toBe(20);
  });

  it("tells credentials as a hash, and no value that is not text", async () => {
    const rules = [rule([limit(1_000)], { key: [{ apiKey: true }, { header: "x-team" }] })];
    const { gateway, driver } = await strict(rules);
    gateway.ask(call(10), [["authorization", "Bearer secret"], ...team("käse")]);
    const entries = driver.requests[0]?.descriptors[0]?.entries ?? [];
    expect(entries[2]).toEqual({ key: "api_key", value: expect.stringMatching(/^[0-9a-f]{32}$/) });
    expect(entries[3]).toEqual({ key: "x-team", value: expect.stringMatching(/^[0-9a-f]{32}$/) });
  });

  it("gives back what was too much, and what was refused, to a service that knows how", async () => {
    const {
      kept,
      ask,
      answer,
      told: settled,
    } = await started(new CountingService(), [rule([limit(1_000)])], service({ protocol: "envoy", refunds: true }));
    await answer(await ask(90), 10, 40);
    expect(outcome(await ask(990))).toBe("429 rate_limit_exceeded");
    await settled();
    expect([...kept.used.values()]).toEqual([50]);
  });

  it("asks a service that only counts for no more than the amount", async () => {
    const { ask } = await started(new CountingService(), [rule([limit(1_000)])], service({ protocol: "envoy" }));
    expect(outcome(await ask(5_000))).toBe("ok");
    expect(outcome(await ask(5_000))).toBe("429 rate_limit_exceeded");
  });

  it("asks a service that only counts for what was reserved, and charges what is missing", async () => {
    const {
      kept,
      ask,
      answer,
      told: settled,
    } = await started(new CountingService(), [rule([limit(1_000)])], service({ protocol: "envoy" }));
    await answer(await ask(90), 10, 40);
    expect([...kept.used.values()]).toEqual([100]);
    await answer(await ask(90), 10, 200);
    await settled();
    expect([...kept.used.values()]).toEqual([310]);
    expect(outcome(await ask(790))).toBe("429 rate_limit_exceeded");
  });
});

describe("a service that cannot be asked", () => {
  const moods = ["fail", "nonsense", "lose"] as const;

  it.each(moods)("lets requests pass where the rule is open: %s", async (mood) => {
    const { gateway, driver, ask, answer } = await strict([rule([limit(100)], { onFailure: "open" })]);
    driver.mood = mood;
    for (let i = 0; i < 3; i++) {
      const stream = await ask(90);
      gateway.host.advance(300);
      expect(outcome(stream)).toBe("ok");
      await answer(stream, 10, 90);
    }
    expect(gateway.counters("decided_alone")).toEqual({ "rule=team": 3 });
  });

  it.each(moods)("refuses them where it is closed: %s", async (mood) => {
    const { driver, ask } = await strict([rule([limit(100)], { onFailure: "closed" })]);
    driver.mood = mood;
    const stream = await ask(10);
    expect(outcome(stream)).toBe("503 rate_limit_unavailable");
    expect(told(stream)).toEqual({ "retry-after": "1", "retry-after-ms": "1000" });
  });

  it.each(moods)("holds them to the budget of this Envoy by default: %s", async (mood) => {
    const { driver, ask, answer } = await strict([rule([limit(100)])]);
    driver.mood = mood;
    const first = await answer(await ask(60), 10, 20);
    expect(told(first)).toMatchObject({ "limit-tokens": "100", "remaining-tokens": "30" });
    expect(outcome(await ask(60))).toBe("ok");
    expect(outcome(await ask(60))).toBe("429 rate_limit_exceeded");
  });

  it("is one whose answer does not come in time", async () => {
    const { gateway, driver } = await strict([rule([limit(100)], { onFailure: "closed" })], service({ timeoutMs: 40 }));
    const stream = gateway.ask(call(10), team("a"));
    expect(driver.waiting).toBe(1);
    gateway.host.advance(39);
    expect(outcome(stream)).toBe("held");
    gateway.host.advance(1);
    expect(outcome(stream)).toBe("503 rate_limit_unavailable");
  });

  it("is one that does not limit what it is asked about", async () => {
    const nobody: Service = {
      answer: ({ descriptors }) => ({ code: 1, statuses: descriptors.map(() => ({ code: 1 })) }),
    };
    const { gateway, ask } = await started(nobody, [rule([limit(100)], { onFailure: "closed" })]);
    expect(outcome(await ask(10))).toBe("503 rate_limit_unavailable");
    expect(gateway.counters("calls")).toEqual({ "call=reserve;outcome=failed": 1 });
  });

  it("is not asked for a second after three failures, and then again", async () => {
    const { gateway, driver, ask } = await strict();
    driver.mood = "fail";
    for (let i = 0; i < 5; i++) await ask(10);
    expect(driver.requests).toHaveLength(3);
    expect(gateway.counters("service_up")).toEqual({});
    driver.mood = "answer";
    gateway.host.advance(1_000);
    expect(outcome(await ask(10))).toBe("ok");
    expect(driver.requests).toHaveLength(4);
    expect(gateway.counters("service_up")).toEqual({ "": 1 });
    expect(gateway.counters("calls")).toMatchObject({
      "call=reserve;outcome=failed": 3,
      "call=reserve;outcome=skipped": 2,
    });
  });

  it.each(["fail", "lose"] as const)("is told later what was used, and counts it once: %s", async (mood) => {
    const { gateway, driver, kept, now, ask, answer } = await strict();
    const stream = await ask(200);
    driver.mood = mood;
    await answer(stream, 12, 30);
    await ask(100, "b");
    for (let i = 0; i < 4; i++) {
      gateway.host.advance(2_000);
      await driver.settle();
    }
    driver.mood = "answer";
    for (let i = 0; i < 20; i++) {
      gateway.host.advance(1_000);
      await driver.settle();
    }
    expect(await kept.used(budget, now())).toBe(42);
    expect(kept.replays > 0).toBe(mood === "lose");
    expect(gateway.counters("settles_lost")).toEqual({});
    expect(driver.waiting).toBe(0);
  });

  it("that only counts is told once, because it would count twice", async () => {
    const { gateway, driver, ask, answer } = await started(
      new CountingService(),
      [rule([limit(1_000)])],
      service({ protocol: "envoy" }),
    );
    const stream = await ask(90);
    driver.mood = "lose";
    await answer(stream, 10, 200);
    gateway.host.advance(30_000);
    await driver.settle();
    expect(driver.requests).toHaveLength(2);
    expect(gateway.counters("settles_lost")).toEqual({ "": 1 });
  });
});
