import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { RawEndpoint } from "../endpoint.ts";
import { RemovalHold } from "./removal-hold.ts";

const at = (id: string, host = Number(id.slice(1)), port = 80): RawEndpoint => ({
  id,
  address: `10.0.0.${host}`,
  port,
  health: "healthy",
});
const ids = (all: readonly RawEndpoint[]) => all.map(({ id }) => id).sort();

describe("removal hold", () => {
  it("believes every answer without doubt", () => {
    const hold = new RemovalHold(100);
    expect(ids(hold.apply([at("i1"), at("i2")], 0))).toEqual(["i1", "i2"]);
    expect(ids(hold.apply([at("i2")], 1))).toEqual(["i2"]);
    expect(hold.deadline).toBeUndefined();
    expect(ids(hold.apply([], 2))).toEqual([]);
  });

  it("keeps who is missing after a doubt until the grace period is over", () => {
    const hold = new RemovalHold(100);
    hold.apply([at("i1"), at("i2")], 0);
    hold.doubt(10);
    expect(ids(hold.apply([at("i2")], 10))).toEqual(["i1", "i2"]);
    expect(hold.deadline).toBe(110);
    expect(ids(hold.apply([at("i2")], 109))).toEqual(["i1", "i2"]);
    expect(ids(hold.apply([at("i2")], 110))).toEqual(["i2"]);
    expect(hold.deadline).toBeUndefined();
  });

  it("believes a removal of who was seen again", () => {
    const hold = new RemovalHold(100);
    hold.apply([at("i1"), at("i2")], 0);
    hold.doubt(10);
    hold.apply([at("i1")], 11);
    expect(ids(hold.apply([at("i2")], 12))).toEqual(["i2"]);
  });

  it("does not hold longer by further doubts", () => {
    const hold = new RemovalHold(100);
    hold.apply([at("i1"), at("i2")], 0);
    for (let now = 10; now < 200; now += 10) {
      hold.doubt(now);
      const held = now < 110 ? ["i1", "i2"] : ["i2"];
      expect(ids(hold.apply([at("i2")], now))).toEqual(held);
    }
  });

  it("gives up who comes back at another address, and whose address another has", () => {
    const hold = new RemovalHold(100);
    hold.apply([at("i1"), at("i2")], 0);
    hold.doubt(10);
    expect(hold.apply([at("i1", 9), at("i7", 2)], 11)).toEqual([at("i1", 9), at("i7", 2)]);
    expect(hold.deadline).toBeUndefined();
  });

  it("gives up who is said to be gone, before a doubt and after it", () => {
    const hold = new RemovalHold(100);
    hold.apply([at("i1"), at("i2"), at("i3")], 0);
    hold.gone("i1");
    hold.doubt(10);
    hold.gone("i2");
    expect(ids(hold.apply([], 11))).toEqual(["i3"]);
    hold.gone("i3");
    expect(hold.apply([], 12)).toEqual([]);
  });

  it("holds nothing without a grace period", () => {
    const hold = new RemovalHold(0);
    hold.apply([at("i1")], 0);
    hold.doubt(0);
    expect(hold.apply([], 0)).toEqual([]);
  });

  it("never leaves out what the registry has, never holds anybody beyond the grace period, and says no address twice", () => {
    const step = fc.record({
      now: fc.integer({ min: 0, max: 60 }),
      instances: fc.uniqueArray(
        fc
          .tuple(fc.integer({ min: 1, max: 5 }), fc.integer({ min: 1, max: 6 }))
          .map(([id, host]) => at(`i${id}`, host)),
        { selector: ({ address }) => address, maxLength: 5 },
      ),
      doubt: fc.boolean(),
    });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 30 }), (steps) => {
        const hold = new RemovalHold(100);
        const lastSeen = new Map<string, number>();
        let now = 0;
        for (const { now: passed, instances, doubt } of steps) {
          now += passed;
          if (doubt) hold.doubt(now);
          const told = hold.apply(instances, now);
          for (const each of instances) {
            expect(told).toContain(each);
            lastSeen.set(each.address, now);
          }
          expect(new Set(told.map(({ address, port }) => `${address}:${port}`)).size).toBe(told.length);
          // A doubt comes at the latest with the answer in which somebody is missing first.
          for (const { address } of told) expect(now - (lastSeen.get(address) ?? Number.NaN)).toBeLessThan(100 + 60);
        }
      }),
    );
  });
});
