import { describe, expect, it } from "vitest";
import { Calendar, isTimeZone, PERIOD_MS, type Period } from "./calendar.ts";

/** The reference walks minute by minute and compares the dates that Intl prints; it knows nothing of offsets. */
function dateOf(zone: string, period: Period): (at: number) => string {
  const format = new Intl.DateTimeFormat("en-CA", {
    timeZone: zone,
    hourCycle: "h23",
    year: "numeric",
    month: "2-digit",
    ...(period === "month" ? {} : { day: "2-digit" }),
    ...(period === "hour" ? { hour: "2-digit", timeZoneName: "longOffset" } : {}),
  });
  return (at) => format.format(at);
}

const window = (period: Period, zone: string, at: string) => {
  const { start, end } = new Calendar().window(period, zone, Date.parse(at));
  return [new Date(start).toISOString(), new Date(end).toISOString()];
};

describe("calendar windows", () => {
  it("are what the zone calls an hour, a day, a month", () => {
    expect(window("day", "Z", "2026-11-21T15:30:00Z")).toEqual([
      "2026-11-21T00:00:00.000Z",
      "2026-11-22T00:00:00.000Z",
    ]);
    expect(window("day", "+05:30", "2026-11-21T20:00:00Z")[0]).toBe("2026-11-21T18:30:00.000Z");
    expect(window("hour", "Asia/Kolkata", "2026-11-21T20:10:00Z")[0]).toBe("2026-11-21T19:30:00.000Z");
    expect(window("month", "America/New_York", "2026-11-01T03:00:00Z")).toEqual([
      "2026-10-01T04:00:00.000Z",
      "2026-11-01T04:00:00.000Z",
    ]);
    expect(window("second", "Europe/Berlin", "2026-11-21T20:10:00.999Z")[1]).toBe("2026-11-21T20:10:01.000Z");
  });

  it("has days of 23 and 25 hours when the clocks change", () => {
    const hours = (at: string) => {
      const [start = "", end = ""] = window("day", "Europe/Berlin", at);
      return (Date.parse(end) - Date.parse(start)) / PERIOD_MS.hour;
    };
    expect([hours("2026-03-29T12:00:00Z"), hours("2026-10-25T12:00:00Z"), hours("2026-06-01T12:00:00Z")]).toEqual([
      23, 25, 24,
    ]);
  });

  // Clocks that change at midnight (Santiago, Havana, Beirut, Sao Paulo), by half an hour (Lord Howe), across the date line (Apia), and plain ones.
  it.each([
    ["Europe/Berlin", "2026-03-27T00:00:00Z"],
    ["Europe/Berlin", "2026-10-23T12:00:00Z"],
    ["America/Santiago", "2026-09-04T00:00:00Z"],
    ["America/Santiago", "2026-04-03T00:00:00Z"],
    ["America/Havana", "2026-10-30T00:00:00Z"],
    ["America/Havana", "2026-03-06T00:00:00Z"],
    ["Asia/Beirut", "2026-03-27T00:00:00Z"],
    ["America/Sao_Paulo", "2018-11-02T00:00:00Z"],
    ["America/Sao_Paulo", "2018-02-16T00:00:00Z"],
    ["Australia/Lord_Howe", "2026-04-03T00:00:00Z"],
    ["Australia/Lord_Howe", "2026-10-02T00:00:00Z"],
    ["Pacific/Apia", "2011-12-28T00:00:00Z"],
    ["Asia/Kathmandu", "2026-12-30T00:00:00Z"],
  ])("equals a walk over the calendar, %s from %s", (zone, from) => {
    const calendar = new Calendar();
    const start = Date.parse(from);
    for (const period of ["hour", "day", "month"] as const) {
      const date = dateOf(zone, period);
      let begin: number | undefined;
      let before = date(start - 60_000);
      for (let at = start; at < start + 5 * PERIOD_MS.day; at += 60_000) {
        const now = date(at);
        if (now !== before) {
          if (begin !== undefined) {
            const expected = { start: begin, end: at };
            for (const inside of [begin, Math.floor((begin + at) / 2), at - 1])
              expect(
                new Calendar().window(period, zone, inside),
                `${period} ${new Date(inside).toISOString()}`,
              ).toEqual(expected);
            expect(calendar.window(period, zone, begin)).toEqual(expected);
          }
          begin = at;
          before = now;
        }
      }
    }
  });

  it("knows which zones exist", () => {
    const names = ["Z", "+14:00", "-00:30", "Europe/Berlin", "UTC", "Etc/GMT+5"];
    expect(names.filter(isTimeZone)).toEqual(names);
    for (const name of ["", "+14:01", "+1:00", "Mars/Olympus", "Europe/Berlin ", "__proto__"]) {
      expect(isTimeZone(name), name).toBe(false);
    }
  });
});
