import { describe, expect, it } from "vitest";
import { outcome, told } from "./rate-limit-driver.ts";
import { call, limit, team } from "./rate-limit-requests.ts";
import { LedgerService } from "./rate-limit-service.ts";
import { budget, rule, service, started, takenElsewhere } from "./rate-limit-service-host.ts";

/** Shares of a budget that an Envoy takes in advance from the service that keeps it. */

const leased = (more: object = {}, workers = 1) =>
  started(new LedgerService(), [rule([limit(1_000)], { mode: "leased", ...more })], service(), workers);

describe("leased", () => {
  it("asks for what a request needs, then for a lease in advance, and then for nothing", async () => {
    const { gateway, driver, kept, now, ask, answer } = await leased();
    const first = await ask(20);
    expect(outcome(first)).toBe("ok");
    expect(await kept.used(budget, now())).toBe(80);
    expect(driver.requests).toHaveLength(2);
    await answer(first, 10, 10);
    const second = gateway.ask(call(10), team("a"));
    expect(outcome(second)).toBe("ok");
    await answer(second, 10, 0);
    expect(driver.requests).toHaveLength(2);
    expect(await kept.used(budget, now())).toBe(80);
  });

  it("tells what is left of the whole budget, here and at the service", async () => {
    const { ask, answer } = await leased({}, 2);
    expect(told(await answer(await ask(20), 10, 20))).toMatchObject({
      "limit-tokens": "1000",
      "remaining-tokens": "970",
    });
    // What the lease took is not lost to those who look.
    expect(told(await answer(await ask(20, "a", 1), 10, 10))).toMatchObject({ "remaining-tokens": "940" });
    expect(told(await answer(await ask(10), 10, 10))).toMatchObject({ "remaining-tokens": "930" });
  });

  it("never uses more than was granted, and what was granted is never more than the limit", async () => {
    const { gateway, driver, kept, now, ask, answer } = await leased({ leasePercent: 20 }, 2);
    let used = 0;
    for (let i = 0; i < 60; i++) {
      const stream = await ask(20, "a", i % 2);
      if (outcome(stream) === "ok") {
        await answer(stream, 10, 20);
        used += 30;
      }
      expect(used).toBeLessThanOrEqual(await kept.used(budget, now()));
    }
    expect(used).toBeGreaterThan(1_000 - 200 - 30);
    expect(await kept.used(budget, now())).toBeLessThanOrEqual(1_000);
    expect(driver.requests.length).toBeLessThan(45);
    gateway.host.advance(60_000);
    expect(outcome(await ask(20))).toBe("ok");
  });

  it("refuses when the service has no more, and says until when", async () => {
    const { gateway, kept, ask } = await leased();
    await takenElsewhere(kept, 1_000);
    gateway.host.advance(15_000);
    const refused = await ask(20);
    expect(outcome(refused)).toBe("429 rate_limit_exceeded");
    expect(told(refused)["retry-after"]).toBe("45");
    expect(told(refused)["remaining-tokens"]).toBe("0");
  });

  it("tells a client that is refused what is left here and at the service", async () => {
    const { kept, ask, answer } = await leased();
    await answer(await ask(20), 10, 12);
    // The lease of 50, and 8 that the request gave back, are here; 15 are there.
    await takenElsewhere(kept, 905);
    const refused = await ask(200);
    expect(outcome(refused)).toBe("429 rate_limit_exceeded");
    expect(told(refused)).toMatchObject({ "limit-tokens": "1000", "remaining-tokens": String(50 + 8 + 15) });
  });

  it("asks for no lease for five seconds when the service has less left than another one", async () => {
    const { gateway, driver, kept, ask, answer } = await leased({ leasePercent: 20 });
    await takenElsewhere(kept, 650);
    await answer(await ask(20), 10, 20);
    // 30 for the request, 200 for the lease: 120 are left.
    expect(driver.requests).toHaveLength(2);
    // Far less than half a lease is left.
    await answer(await ask(140), 10, 140);
    gateway.host.advance(4_900);
    await answer(await ask(10), 10, 10);
    expect(driver.requests).toHaveLength(2);
    gateway.host.advance(200);
    expect(outcome(await answer(await ask(10), 10, 10))).toBe("ok");
    expect(driver.requests).toHaveLength(3);
  });

  it("asks for another lease at once while the service has more", async () => {
    const { driver, kept, ask, answer } = await leased({ leasePercent: 20 });
    await takenElsewhere(kept, 400);
    await answer(await ask(20), 10, 20);
    expect(driver.requests).toHaveLength(2);
    await answer(await ask(140), 10, 140);
    expect(driver.requests).toHaveLength(3);
  });

  it("asks for no lease for five seconds after one was refused, only for what requests need", async () => {
    const { gateway, driver, kept, ask } = await leased({ leasePercent: 20 });
    await takenElsewhere(kept, 850);
    const stream = await ask(20);
    expect(outcome(stream)).toBe("ok");
    // 30 were granted, a lease of 200 was not.
    expect(driver.requests).toHaveLength(2);
    gateway.host.advance(4_900);
    expect(outcome(await ask(20))).toBe("ok");
    expect(driver.requests).toHaveLength(3);
    gateway.host.advance(200);
    expect(outcome(await ask(20))).toBe("ok");
    expect(driver.requests).toHaveLength(5);
  });

  it("keeps what was granted to a client that went away", async () => {
    const { gateway, driver, ask } = await leased();
    const gone = gateway.ask(call(40), team("a"));
    gone.end();
    await driver.settle();
    const asked = driver.requests.length;
    expect(outcome(await ask(20))).toBe("ok");
    expect(driver.requests.length).toBeLessThanOrEqual(asked + 1);
    expect(gateway.trapped).toBe(false);
  });

  it.each(["fail", "lose"] as const)(
    "falls back to the budget of this Envoy when leases do not come: %s",
    async (mood) => {
      const { driver, ask } = await leased();
      driver.mood = mood;
      expect(outcome(await ask(600))).toBe("ok");
      expect(outcome(await ask(600))).toBe("429 rate_limit_exceeded");
    },
  );
});
