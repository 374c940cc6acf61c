import { describe, expect, it } from "vitest";
import { Leases } from "./leases.ts";

describe("leases", () => {
  const pair = () => {
    const [here, there] = [new Leases(), new Leases()];
    for (const leases of [here, there]) for (const key of ["a", "b"]) leases.begin(key, 10_000, 0);
    return { here, there };
  };

  it("end a time to live after the last heartbeat", () => {
    const { here } = pair();
    here.beat("a", 4_000);
    here.beat("unknown", 4_000);
    expect([here.endsAt("a", 0), here.endsAt("b", 500), here.endsAt("unknown", 0)]).toEqual([
      14_000,
      10_500,
      undefined,
    ]);
    expect(here.overdue(9_999, 0)).toEqual([]);
    expect(here.overdue(10_000, 0)).toEqual(["b"]);
    expect(here.overdue(14_000, 0)).toEqual(["b", "a"]);
    here.end("b");
    expect([here.overdue(14_000, 0), here.size]).toEqual([["a"], 1]);
  });

  it("are lengthened elsewhere by as old a heartbeat as it was", () => {
    const { here, there } = pair();
    here.beat("a", 4_000);
    there.read(here.write(6_000), 106_000);
    expect([there.endsAt("a", 0), there.endsAt("b", 0)]).toEqual([114_000, 10_000]);
    there.read(here.write(9_000), 106_000);
    expect(there.endsAt("a", 0), "an older one shortens nothing").toBe(114_000);
  });

  it("are told only for what came here and still counts, and once", () => {
    const { here, there } = pair();
    expect(here.news).toBe(false);
    here.beat("a", 1_000);
    here.beat("b", 8_000);
    expect(here.news).toBe(true);
    const { ages } = JSON.parse(here.write(12_000)) as { ages: Record<string, number> };
    expect(Object.values(ages)).toEqual([4_000]);
    expect(here.news).toBe(false);
    there.read(JSON.stringify({ ages }), 12_000);
    expect([there.news, Object.keys(JSON.parse(there.write(12_000)).ages)]).toEqual([false, []]);
  });

  it("all count from a time of grace", () => {
    const { here } = pair();
    here.grace(50_000);
    expect(here.overdue(59_999, 0)).toEqual([]);
    here.begin("b", 20_000, 55_000);
    expect([here.overdue(60_000, 0), here.endsAt("b", 0)]).toEqual([["a"], 75_000]);
  });

  it("know the shortest time to live", () => {
    const { here } = pair();
    expect([new Leases().shortestTtlMs, here.shortestTtlMs]).toEqual([Number.POSITIVE_INFINITY, 10_000]);
    here.begin("c", 3_000, 0);
    expect(here.shortestTtlMs).toBe(3_000);
    here.begin("c", 30_000, 0);
    expect(here.shortestTtlMs).toBe(10_000);
    for (const key of ["a", "b"]) here.end(key);
    expect(here.shortestTtlMs).toBe(30_000);
  });

  it.each(["", "{", "[]", "null", "7", `{"ages":7}`, `{"ages":null}`, `{"ages":{"x":"y"}}`])(
    "survive the record %j",
    (text) => {
      const { here } = pair();
      here.read(text, 5_000);
      expect(here.endsAt("a", 0)).toBe(10_000);
    },
  );

  it("are not made longer than a time to live from now by any record", () => {
    const { here, there } = pair();
    here.beat("a", 0);
    const { ages } = JSON.parse(here.write(0)) as { ages: Record<string, unknown> };
    for (const age of [-1, -1e300, "0", null, {}]) {
      for (const name of Object.keys(ages)) ages[name] = age;
      there.read(JSON.stringify({ ages }), 5_000);
      expect(there.endsAt("a", 0)).toBe(10_000);
    }
  });
});
