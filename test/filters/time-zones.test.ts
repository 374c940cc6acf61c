import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { translateTimeZoneAt } from "../../xds-server/config/iana-time-zone.ts";
import { changesIn, parsePosixTimeZone } from "../../xds-server/config/posix-time-zone.ts";
import { Calendar } from "../../xds-server/state/ledger/calendar.ts";
import { berlin, zonesTaken } from "../lib/time-zone-cases.ts";
import { fixed, parse, use, windowOf } from "../lib/time-zone-driver.ts";
import { LimitHost, told } from "./rate-limit-driver.ts";

/** Time zones from their names to what a client is told: the server's translation, the filter's windows, `Intl` and the ledger agree. */

const HOUR = 3_600_000;

describe("every zone that has a rule", () => {
  /** The day that a clock there shows; `Intl` alone. */
  function dateIn(name: string): (time: number) => string {
    const date = { year: "numeric", month: "2-digit", day: "2-digit" } as const;
    const format = new Intl.DateTimeFormat("en-CA", { timeZone: name, ...date });
    return (time) => format.format(time);
  }

  /** Makes what the server writes the filter's zone. */
  function take(zone: string): void {
    const [, sign, hours, minutes] = /^([+-])(\d\d):(\d\d)$/.exec(zone) ?? [];
    if (sign !== undefined) fixed(Number(`${sign}1`) * (Number(hours) * 3600 + Number(minutes) * 60));
    else if (zone === "Z") fixed(0);
    else use(zone);
  }

  /** Moments around changes, and others. */
  function timesIn(zone: string, from: number, seed: number): number[] {
    const posix = parsePosixTimeZone(zone);
    const around = (year: number) => ("fault" in posix ? [] : changesIn(posix, year).map(({ at }) => at * 1000));
    const random = (index: number) => (((seed * 7919 + index) * 2_654_435_761) % 2 ** 32) / 2 ** 32;
    const until = Date.UTC(2040, 0);
    const others = Array.from({ length: 6 }, (_, index) => Math.floor(from + random(index) * (until - from)));
    const years = [9, 10].map((index) => 2029 + Math.floor(random(index) * 11));
    const changes = years.flatMap(around);
    const near = changes.map((at, index) => at + Math.floor((random(20 + index) - 0.5) * 50 * HOUR));
    return [...others, ...changes, ...changes.map((at) => at - 1), ...near];
  }

  it("has the days and months of Intl and of the ledger, from 2024 to 2040", () => {
    const calendar = new Calendar();
    const rules = new Set<string>();
    const without: string[] = [];
    let names = 0;
    for (const [index, name] of Intl.supportedValuesOf("timeZone").entries()) {
      // Countries whose clocks have changed their ways lately have a rule from then on.
      const found = [2024, 2027]
        .map((year) => ({ from: Date.UTC(year, 0), zone: translateTimeZoneAt(name, Date.UTC(year, 0)) }))
        .find(({ zone }) => "posix" in zone);
      if (found === undefined || !("posix" in found.zone)) {
        without.push(name);
        continue;
      }
      names++;
      rules.add(found.zone.posix);
      take(found.zone.posix);
      const date = dateIn(name);
      for (const time of timesIn(found.zone.posix, found.from, index)) {
        for (const period of ["day", "month"] as const) {
          const { start, end } = windowOf(period, time);
          const where = `${name} ${found.zone.posix} ${period} ${new Date(time).toISOString()}`;
          const page = (at: number) => date(at).slice(0, period === "day" ? 10 : 7);
          const inside = [page(start) === page(time), page(end - 1) === page(time)];
          const outside = [page(start - 1) === page(time), page(end) === page(time)];
          expect([where, start <= time, time < end, ...inside, ...outside]).toEqual([
            where,
            true,
            true,
            true,
            true,
            false,
            false,
          ]);
          expect([where, calendar.window(period, name, time)]).toEqual([where, { start, end }]);
        }
      }
    }
    expect(without).toEqual(expect.arrayContaining(["Africa/Casablanca"]));
    expect(without.length).toBeLessThan(12);
    expect(names).toBeGreaterThan(400);
    expect(rules.size).toBeGreaterThan(50);
  });
});

describe("POSIX time zones", () => {
  const pieces = [
    "CET",
    "AAA",
    "<+01>",
    "<",
    ">",
    "-1",
    "5",
    "+",
    "-",
    ":",
    ":30",
    ",",
    "J",
    "M3.5.0",
    ",M3.5.0",
    ",M10.5.0/3",
    ",J60",
    ",300/-167",
    ".",
    "/",
    "/26",
    "0",
    "65",
    "é",
    " ",
  ];
  const samples = [...new Set(zonesTaken.map(([text]) => text))];
  const number = fc.oneof(fc.nat(9), fc.nat(400)).map(String);
  const edited = fc
    .tuple(
      fc.constantFrom(...samples),
      fc.nat(50),
      fc.nat(3),
      fc.oneof(fc.constant(""), number, fc.constantFrom(...pieces)),
    )
    .map(([text, at, cut, more]) => text.slice(0, at) + more + text.slice(at + cut));
  const date = fc.oneof(
    fc.tuple(fc.nat(13), fc.nat(6), fc.nat(7)).map((all) => `M${all.join(".")}`),
    fc.nat(367).map((day) => `J${day}`),
    fc.nat(367).map(String),
  );
  const time = fc.oneof(
    fc.constant(""),
    fc.integer({ min: -169, max: 169 }).map((hours) => `/${hours}`),
  );
  const whole = fc
    .tuple(fc.integer({ min: -15, max: 15 }), fc.option(fc.integer({ min: -15, max: 15 })), date, time, date, time)
    .map(
      ([standard, shift, begins, at, ends, later]) => `AAA${standard}BBB${shift ?? ""},${begins}${at},${ends}${later}`,
    );
  const heap = fc.array(fc.constantFrom(...pieces), { maxLength: 12 }).map((all) => all.join(""));

  it("are the same for the server and the filter, whatever the text", () => {
    let taken = 0;
    fc.assert(
      fc.property(fc.oneof(edited, whole, heap), (text) => {
        const server = parsePosixTimeZone(text);
        const fault = parse(text);
        expect({ text, taken: fault === undefined }).toEqual({ text, taken: !("fault" in server) });
        if (fault === undefined) taken++;
      }),
      { numRuns: 8000 },
    );
    expect(taken).toBeGreaterThan(1000);
  });
});

describe("a client is told", () => {
  const ask = { model: "gpt-4o", messages: [{ role: "user", content: "hello" }] };
  const limit = (timeZone: string, per: string) => ({
    rules: [{ name: "r", limits: [{ unit: "requests", amount: 1, per, timeZone }] }],
  });

  it.each([
    // Half past midnight of a day with 25 hours, of one with 23, and of one that begins at 1 o'clock.
    [berlin, "day", "2026-10-24T22:30Z", 24.5],
    [berlin, "day", "2026-03-28T23:30Z", 22.5],
    [berlin, "day", "2026-07-01T22:30Z", 23.5],
    ["<-04>4<-03>,M9.1.6/24,M4.1.6/24", "day", "2026-09-06T04:30Z", 22.5],
    // The last hour of a month of summer.
    [berlin, "month", "2026-03-31T21:00Z", 1],
    [berlin, "month", "2026-10-01T00:00Z", 31 * 24 - 1],
    ["EST5EDT,M3.2.0,M11.1.0", "month", "2026-11-01T04:00Z", 30 * 24 + 1],
  ])("%s per %s at %s: wait %d hours", async (zone, per, at, hours) => {
    const filter = await LimitHost.start(limit(zone, per), { epochMs: Date.parse(at) });
    filter.answer(filter.ask(ask), { input: 1, output: 1 });
    const refused = filter.ask(ask);
    expect(refused.localReply?.status).toBe(429);
    expect(told(refused)["retry-after"]).toBe(String(hours * 3600));
    expect(filter.trapped).toBe(false);
  });
});
