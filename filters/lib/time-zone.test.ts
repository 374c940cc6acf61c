import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { berlin, zonesRefused, zonesTaken } from "../../test/lib/time-zone-cases.ts";
import { end, fixed, identity, offsetAt, parse, start, use, wasm, windowOf } from "../../test/lib/time-zone-driver.ts";
import { type DateRule, ZoneReference, type ZoneRule } from "../../test/lib/time-zone-reference.ts";

/** Texts that are zones and texts that are none; offsets and windows of any zone against a reference that tries everything. Names of real zones: test/filters/time-zones.test.ts. */

const at = (text: string) => Date.parse(text);
const iso = (time: number) => new Date(time).toISOString().replace(":00.000Z", "Z");
const HOUR = 3_600_000;

describe("what a text means", () => {
  it.each(zonesTaken)("%s at %s", (text, time, offset) => {
    expect([parse(text), offsetAt(at(time))]).toEqual([undefined, offset * 1000]);
  });

  it.each(zonesRefused)("%s is none", (text, fault) => {
    expect(parse(text)).toContain(fault);
  });

  it("takes what just fits", () => {
    for (const text of [`A${"B".repeat(62)}0`, "AAA14", "AAA-14", "AAA-13BBB,M3.5.0,M10.5.0", "AAA0BBB,1,16"])
      expect([text, parse(text)]).toEqual([text, undefined]);
    expect(parse("AAA0BBB,1,15")).toContain("within 14 days");
  });

  it("leaves the zone as it was when a text is none", () => {
    use(berlin);
    parse("CET-2CEST");
    expect(offsetAt(at("2026-07-01T00:00Z"))).toBe(2 * HOUR);
  });

  it("says the same of zones that are the same, and something else of all others", () => {
    const same = (...texts: string[]) => new Set(texts.map((text) => [use(text), identity()][1])).size;
    expect(same(berlin, "<+01>-1<+02>-2,M3.5.0/2,M10.5.0/3:00:00", "ABC-01DEF-2:00,M03.5.0/+2,M10.5.0/03")).toBe(1);
    expect(same("IST-1GMT0,M10.5.0,M3.5.0/1", "GMT0IST,M3.5.0/1,M10.5.0")).toBe(1);
    expect(same("AAA-1BBB-1,M3.5.0,M10.5.0", "CCC-1")).toBe(1);
    const others = [
      "AAA-1",
      "AAA1",
      "AAA-2",
      berlin,
      "CET-1CEST,M3.5.0,M10.5.0",
      "CET-1CEST,M3.5.0/1,M10.5.0/3",
      "CET-1CEST,M3.4.0,M10.5.0/3",
      "CET-1CEST,M3.5.6,M10.5.0/3",
      "CET-1CEST,M4.5.0,M10.5.0/3",
      "CET-1CEST,M3.5.0,M11.5.0/3",
      "CET-2CEST,M3.5.0,M10.5.0/3",
      "CET-1CEST-3,M3.5.0,M10.5.0/3",
      "CET-1CEST,M10.5.0,M3.5.0/3",
      "CET-1CEST,J90,J300",
      "CET-1CEST,90,J300",
      "CET-1CEST,90,300",
    ];
    expect(same(...others)).toBe(others.length);
  });

  it("says of a zone without summer time its seconds", () => {
    const said = [0, 3600, -12_600, -50_400].map((seconds) => [fixed(seconds), identity()][1]);
    expect(said).toEqual(["0", "3600", "-12600", "-50400"]);
    expect([use("<-0330>3:30"), identity()][1]).toBe(said[2]);
  });
});

describe("days and months", () => {
  const days = (text: string, ...times: string[]) => {
    use(text);
    return times.map((time) => {
      const { start: begin, end: next } = windowOf("day", at(time));
      return `${iso(begin)} ${(next - begin) / HOUR}`;
    });
  };

  it("have 23 and 25 hours", () => {
    expect(days(berlin, "2026-03-28T23:30Z", "2026-03-29T21:30Z", "2026-10-25T00:30Z", "2026-10-25T22:59Z")).toEqual([
      "2026-03-28T23:00Z 23",
      "2026-03-28T23:00Z 23",
      "2026-10-24T22:00Z 25",
      "2026-10-24T22:00Z 25",
    ]);
    use(berlin);
    const { start: begin, end: next } = windowOf("month", at("2026-03-15T00:00Z"));
    expect([iso(begin), iso(next)]).toEqual(["2026-02-28T23:00Z", "2026-03-31T22:00Z"]);
  });

  it("begin at 1 o'clock where there is no midnight, and at the first midnight of two", () => {
    const chile = "<-04>4<-03>,M9.1.6/24,M4.1.6/24";
    // Saturday's 23:59 is followed by Sunday's 1:00; in autumn Saturday has 23 o'clock twice.
    expect(days(chile, "2026-09-06T03:59Z", "2026-09-06T04:00Z")).toEqual([
      "2026-09-05T04:00Z 24",
      "2026-09-06T04:00Z 23",
    ]);
    expect(days(chile, "2026-04-05T03:30Z", "2026-04-05T04:00Z")).toEqual([
      "2026-04-04T03:00Z 25",
      "2026-04-05T04:00Z 24",
    ]);
    // Clocks that go back to the day before when it was over: it does not begin again.
    expect(days("AAA0BBB,M3.1.0,M10.1.0/0:30", "2026-10-03T22:59Z", "2026-10-03T23:00Z", "2026-10-03T23:45Z")).toEqual([
      "2026-10-02T23:00Z 24",
      "2026-10-03T23:00Z 25",
      "2026-10-03T23:00Z 25",
    ]);
  });

  it("before 1970 on that clock count as 1970", () => {
    fixed(-12 * 3600);
    expect(start("day", HOUR)).toBe(12 * HOUR);
    expect(start("month", HOUR)).toBe(12 * HOUR);
  });

  const seconds = (hours: number) => fc.integer({ min: -hours * 3600, max: hours * 3600 });
  const time = fc.oneof(fc.constantFrom(0, 7200, 86_400), seconds(24), seconds(167));
  const date = fc.oneof(
    {
      weight: 3,
      arbitrary: fc
        .tuple(fc.integer({ min: 1, max: 12 }), fc.integer({ min: 1, max: 5 }), fc.nat(6))
        .map((parts) => `M${parts.join(".")}`),
    },
    { weight: 1, arbitrary: fc.integer({ min: 1, max: 365 }).map((day) => `J${day}`) },
    { weight: 1, arbitrary: fc.nat(365).map(String) },
  );
  const change = fc.record<DateRule>({ date, time });
  const offset = fc.oneof(
    seconds(14),
    fc.integer({ min: -14, max: 14 }).map((hours) => hours * 3600),
  );
  const rule = fc.record<ZoneRule>({ standard: offset, daylight: offset, begins: change, ends: change });
  const clock = (value: number) => {
    const [hours, minutes, rest] = [
      Math.floor(Math.abs(value) / 3600),
      Math.floor(Math.abs(value) / 60) % 60,
      Math.abs(value) % 60,
    ];
    return `${value < 0 ? "-" : ""}${hours}:${String(minutes).padStart(2, "0")}:${String(rest).padStart(2, "0")}`;
  };
  const written = ({ standard, daylight, begins, ends }: ZoneRule) =>
    `AAA${clock(-standard)}BBB${clock(-daylight)},${begins.date}/${clock(begins.time)},${ends.date}/${clock(ends.time)}`;

  it("of any zone are those of the reference, around its changes and elsewhere", () => {
    let taken = 0;
    fc.assert(
      fc.property(
        rule,
        fc.integer({ min: 1971, max: 2110 }),
        fc.array(fc.tuple(fc.nat(3), seconds(50)), { minLength: 12, maxLength: 12 }),
        fc.integer({ min: 0, max: 365 }),
        (zone, year, near, day) => {
          fc.pre(zone.standard !== zone.daylight && parse(written(zone)) === undefined);
          taken++;
          const reference = new ZoneReference(zone, [year, year]);
          const changes = reference.changes.slice(4, 8);
          const times = near.map(([index, away]) => (changes[index] ?? 0) + away * 1000);
          times.push(...changes, ...changes.map((change) => change - 1), Date.UTC(year, 0, day, 12, 34, 56, 789));
          for (const time of times) {
            expect(offsetAt(time)).toBe(reference.offsetAt(time));
            for (const period of ["day", "month"] as const) {
              const found = windowOf(period, time);
              expect(found).toEqual(reference.windowOf(period, time));
              expect(time).toBeGreaterThanOrEqual(found.start);
              expect(time).toBeLessThan(found.end);
              // The begin is in the window that it begins, and the end in the next.
              expect(start(period, found.start)).toBe(found.start);
              expect(start(period, found.end)).toBe(found.end);
              expect(start(period, found.end - 1)).toBe(found.start);
            }
          }
        },
      ),
      { numRuns: 300 },
    );
    expect(taken).toBe(300);
  });

  it("take no memory", () => {
    use(berlin);
    const before = wasm.allocate(8);
    wasm.startSum(3, 0n, 86_400_000n * 40n, 200_000);
    wasm.startSum(4, 0n, 86_400_000n * 40n, 200_000);
    expect(wasm.allocate(8)).toBe(before);
  });

  it("follow one another for a hundred years", () => {
    for (const text of [berlin, "<-04>4<-03>,M9.1.6/24,M4.1.6/24", "<+1030>-10:30<+11>-11,M10.1.0,M4.1.0"]) {
      use(text);
      for (const period of ["day", "month"] as const) {
        let windows = 0;
        for (let time = start(period, at("2000-01-01T00:00Z")); time < at("2100-01-01T00:00Z"); windows++) {
          const next = end(period, time);
          if (next <= time || start(period, next) !== next || start(period, next - 1) !== time)
            throw new Error(iso(time));
          time = next;
        }
        expect(windows).toBeGreaterThanOrEqual(period === "day" ? 36_525 : 1200);
        expect(windows).toBeLessThanOrEqual(period === "day" ? 36_526 : 1201);
      }
    }
  });
});

describe("any text", () => {
  const samples = [
    berlin,
    "<+1245>-12:45<+1345>,M9.5.0/2:45,M4.1.0/3:45",
    "AAA0BBB-1:30:15,J60/-167,300/+12:30",
    "<-03>3",
  ];
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
    "30",
    ",",
    "M",
    "J",
    "M3.5.0",
    "M10.5.0",
    ".",
    "/",
    "/3",
    "167",
    "0",
    "365",
    "é",
    " ",
    "\0",
  ];

  it("is a zone or a fault with a reason, whatever is cut off or changed", () => {
    for (const sample of samples) {
      for (let length = 0; length <= sample.length; length++) {
        const fault = parse(sample.slice(0, length));
        expect(fault ?? "a zone").toMatch(/^(a zone|has |is |changes ).*/);
        if (fault === undefined) expect(offsetAt(at("2026-07-01T00:00Z"))).not.toBeNaN();
      }
    }
    const mutated = fc
      .tuple(fc.constantFrom(...samples), fc.nat(63), fc.nat(3), fc.string({ maxLength: 3 }))
      .map(([sample, from, cut, more]) => sample.slice(0, from) + more + sample.slice(from + cut));
    const text = fc.oneof(
      mutated,
      fc.array(fc.constantFrom(...pieces), { maxLength: 20 }).map((all) => all.join("")),
      fc.string({ unit: "binary", maxLength: 80 }),
    );
    fc.assert(
      fc.property(text, fc.bigInt({ min: 86_400_000n, max: 1n << 50n }), (any, time) => {
        const fault = parse(any);
        expect(fault ?? "a zone").toMatch(/^(a zone|has |is |changes ).*/);
        // Whatever the zone, a window has its time, to the end of all times.
        const begin = wasm.start(3, time);
        expect(begin <= time && wasm.end(3, begin) > time).toBe(true);
      }),
      { numRuns: 3000 },
    );
  });
});
