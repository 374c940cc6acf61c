import { describe, expect, it } from "vitest";
import { zonesRefused, zonesTaken } from "../../test/lib/time-zone-cases.ts";
import { changesIn, type PosixTimeZone, parsePosixTimeZone } from "./posix-time-zone.ts";

/** The same cases as the filter's. That it takes neither more nor less, whatever the text: test/filters/time-zones.test.ts. */

/** Seconds ahead of UTC: what the last change before has left. */
function offsetAt(zone: PosixTimeZone, at: number): number {
  const year = new Date(at).getUTCFullYear();
  const turns = [year - 1, year, year + 1].flatMap((each) => changesIn(zone, each));
  return turns.findLast((turn) => turn.at * 1000 <= at)?.after ?? zone.winter;
}

const zoneOf = (text: string): PosixTimeZone => {
  const zone = parsePosixTimeZone(text);
  if ("fault" in zone) throw new Error(zone.fault);
  return zone;
};

describe("a POSIX time zone", () => {
  it.each(zonesTaken)("%s at %s", (text, at, offset) => {
    expect(offsetAt(zoneOf(text), Date.parse(at))).toBe(offset);
  });

  it.each(zonesRefused)("%s is none", (text, fault) => {
    const special = [
      "has more than 64 characters",
      "is more than 14 hours from UTC",
      "has summer time, but not when it begins and ends",
      "changes clocks twice within 14 days",
    ];
    const expected =
      special.find((each) => fault.includes(each)) ?? "is no POSIX time zone such as CET-1CEST,M3.5.0,M10.5.0/3";
    expect(parsePosixTimeZone(text)).toEqual({ fault: expect.stringContaining(expected) });
  });

  it("changes its clocks twice a year, or never", () => {
    const times = (text: string) => changesIn(zoneOf(text), 2026).map(({ at }) => new Date(at * 1000).toISOString());
    expect(times("CET-1CEST,M3.5.0,M10.5.0/3")).toEqual(["2026-03-29T01:00:00.000Z", "2026-10-25T01:00:00.000Z"]);
    expect(times("AEST-10AEDT,M10.1.0,M4.1.0/3")).toEqual(["2026-04-04T16:00:00.000Z", "2026-10-03T16:00:00.000Z"]);
    expect(times("JST-9")).toEqual([]);
    expect(times("AAA-1BBB-1,M3.5.0,M10.5.0")).toEqual([]);
  });
});
