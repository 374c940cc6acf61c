import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { MAX_AMOUNT } from "./amounts.ts";
import { fieldOf, kindOfField, Patterns } from "./budgets.ts";
import { PERIODS } from "./calendar.ts";
import { parseLedgerConfig } from "./config.ts";
import { knownLimits } from "./known-limits.ts";

describe("names of meters", () => {
  it("say what is counted, and nothing else is one", () => {
    const zones = fc.constantFrom("Z", "+05:30", "-03:00", "Europe/Berlin", "America/Argentina/Ushuaia");
    fc.assert(
      fc.property(fc.constantFrom(...PERIODS), zones, fc.boolean(), (per, zone, wanted) => {
        const rolling = wanted && per !== "month";
        const kind = { per, rolling, timeZone: rolling ? "Z" : zone };
        expect(kindOfField(fieldOf({ ...kind, amount: 1, shadow: false }))).toEqual(kind);
      }),
    );
    for (const field of ["label", "", "minute", "minute@", "minute~Z", "month~", "year@Z", "day@Mars/Olympus", "@Z"]) {
      expect(kindOfField(field), field).toBeUndefined();
    }
  });
});

describe("limits that are known of a budget", () => {
  const parsed = parseLedgerConfig(
    "a.yaml",
    "domains: [{name: d, descriptors: [{entries: [k], override: true, limits: [{amount: 5, per: day}, {amount: 9, per: hour, rolling: true}]}]}]",
  );
  const match = parsed.ok ? new Patterns(parsed.config).find("d", [{ key: "k", value: "v" }]) : undefined;
  if (match === undefined) throw new Error("configuration");
  const known = (...kept: readonly (readonly [string, number?])[]) =>
    knownLimits(
      match,
      kept.map(([field, amount]) => ({ field, amount })),
    ).map((limit) => [fieldOf(limit.config), limit.amount, limit.unit, limit.override, limit.known]);

  it("are those of the configuration, then those that calls brought, the shortest first", () => {
    const configured = [
      ["day@Z", 5, 4, false, true],
      ["hour~", 9, 3, false, true],
    ];
    expect(known()).toEqual(configured);
    expect(known(["day@Z"], ["hour~"], ["label", 1])).toEqual(configured);
    expect(known(["month@Z", 70], ["day@Z", 6], ["second@Z", 3], ["hour@Asia/Tokyo"])).toEqual([
      ["day@Z", 6, 4, true, true],
      ["hour~", 9, 3, false, true],
      ["second@Z", 3, 1, true, true],
      ["hour@Asia/Tokyo", MAX_AMOUNT, 3, true, false],
      ["month@Z", 70, 5, true, true],
    ]);
  });
});
