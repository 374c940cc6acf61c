import { existsSync, readFileSync, statSync } from "node:fs";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type Clocks, translateTimeZone, translateTimeZoneAt, zoneOfClocks } from "./iana-time-zone.ts";
import { changesIn, parsePosixTimeZone } from "./posix-time-zone.ts";

/** Names against what is known of zones, and against the files of zones of the machine. Against `Intl`, at any time: test/filters/time-zones.test.ts. */

const now = Date.UTC(2026, 10, 21);
const translated = (name: string, at = now) => {
  const result = translateTimeZoneAt(name, at);
  return "posix" in result ? result.posix : result.fault;
};

describe("names", () => {
  it.each([
    ["Europe/Berlin", "<+01>-1<+02>,M3.5.0,M10.5.0/3"],
    ["europe/berlin", "<+01>-1<+02>,M3.5.0,M10.5.0/3"],
    ["America/New_York", "<-05>5<-04>,M3.2.0,M11.1.0"],
    ["EST5EDT", "<-05>5<-04>,M3.2.0,M11.1.0"],
    ["Australia/Sydney", "<+10>-10<+11>,M10.1.0,M4.1.0/3"],
    ["Europe/Dublin", "<+00>0<+01>,M3.5.0/1,M10.5.0"],
    ["America/St_Johns", "<-0330>3:30<-0230>,M3.2.0,M11.1.0"],
    // Half an hour, two hours, quarters.
    ["Australia/Lord_Howe", "<+1030>-10:30<+11>-11,M10.1.0,M4.1.0"],
    ["Antarctica/Troll", "<+00>0<+02>-2,M3.5.0/1,M10.5.0/3"],
    ["Pacific/Chatham", "<+1245>-12:45<+1345>,M9.5.0/2:45,M4.1.0/3:45"],
    // Said from the day before, or the day after.
    ["America/Santiago", "<-04>4<-03>,M9.1.6/24,M4.1.6/24"],
    ["Asia/Jerusalem", "<+02>-2<+03>,M3.4.4/26,M10.5.0"],
    ["America/Godthab", "<-02>2<-01>,M3.5.0/-1,M10.5.0/0"],
    ["Asia/Tokyo", "+09:00"],
    ["Asia/Kathmandu", "+05:45"],
    ["America/Sao_Paulo", "-03:00"],
    ["Pacific/Marquesas", "-09:30"],
    ["UTC", "Z"],
    ["Etc/GMT+5", "-05:00"],
  ])("%s", (name, zone) => {
    expect(translated(name)).toBe(zone);
  });

  it("that nobody knows are none", () => {
    for (const name of ["", "Mars/Olympus", "Europe/Berlin ", "__proto__", "+01:00", "Europe//Berlin", "A".repeat(65)])
      expect([name, translated(name)]).toEqual([name, "unknown"]);
  });

  it.each([
    // Summer time is interrupted by Ramadan.
    ["Africa/Casablanca", now],
    // Summer time was given up, moved to other dates, or the offset was changed.
    ["Europe/Istanbul", Date.UTC(2014, 0)],
    ["America/Sao_Paulo", Date.UTC(2015, 0)],
    ["Europe/Berlin", Date.UTC(1990, 0)],
    ["America/New_York", Date.UTC(2000, 0)],
    ["Asia/Pyongyang", Date.UTC(2014, 0)],
    ["Europe/Volgograd", Date.UTC(2012, 0)],
  ])("%s has no rule for every year", (name, at) => {
    expect(translated(name, at)).toBe("irregular");
  });

  it("of zones without a rule for every year have one when it begins", () => {
    expect(translated("Europe/Istanbul", Date.UTC(2017, 0))).toBe("+03:00");
    expect(translated("America/New_York", Date.UTC(2008, 0))).toBe("<-05>5<-04>,M3.2.0,M11.1.0");
  });

  it("mean the same in every year in which they are read", () => {
    const names = [
      "Europe/Berlin",
      "America/Santiago",
      "Asia/Jerusalem",
      "Africa/Cairo",
      "Pacific/Chatham",
      "America/Havana",
    ];
    for (const name of names) {
      const years = Array.from({ length: 12 }, (_, index) => Date.UTC(2024, index * 5, 1 + index * 2));
      expect([name, [...new Set(years.map((year) => translated(name, year)))]]).toEqual([name, [translated(name)]]);
    }
  });

  it("are translated once", () => {
    expect(translateTimeZone("Europe/Berlin")).toBe(translateTimeZone("Europe/Berlin"));
    expect(translateTimeZone("Mars/Olympus")).toEqual({ fault: "unknown" });
  });
});

describe("clocks", () => {
  const DAY = 86_400;
  const year = (number: number) => Date.UTC(number, 0) / 1000;
  /** Those of a POSIX time zone, from 2019 to 2046. */
  function clocksOf(posix: string): Clocks {
    const zone = parsePosixTimeZone(posix);
    if ("fault" in zone) throw new Error(zone.fault);
    const turns = Array.from({ length: 28 }, (_, index) => changesIn(zone, 2019 + index)).flat();
    return (at) => turns[lastBefore(turns, at)]?.after ?? zone.winter;
  }
  function lastBefore(turns: readonly { at: number }[], at: number): number {
    let [low, high] = [0, turns.length];
    while (high - low > 1) {
      const middle = (low + high) >> 1;
      if ((turns[middle]?.at ?? 0) <= at) low = middle;
      else high = middle;
    }
    return low;
  }
  const changes = (posix: string) => {
    const zone = parsePosixTimeZone(posix);
    return "fault" in zone ? zone : Array.from({ length: 60 }, (_, index) => changesIn(zone, 2020 + index));
  };

  it("on whatever day they are begun to be watched have the same zone", () => {
    for (const posix of ["<+01>-1<+02>,M3.5.0,M10.5.0/3", "<-04>4<-03>,M9.1.6/24,M4.1.6/24"]) {
      const clocks = clocksOf(posix);
      for (let day = 0; day < 4 * 366; day++) {
        const found = zoneOfClocks(clocks, year(2024) + day * DAY);
        if (found !== posix) throw new Error(`${found} on day ${day}`);
      }
    }
  });

  it("of any weekdays at any time have their zone", () => {
    const weekday = fc.tuple(fc.integer({ min: 1, max: 5 }), fc.nat(6)).map((parts) => parts.join("."));
    const time = fc.oneof(
      fc.constantFrom("", "/0", "/24", "/-1"),
      fc.integer({ min: -24, max: 48 }).map((hours) => `/${hours}:30`),
    );
    const offset = fc.constantFrom("0", "-1", "5", "-12:45", "3:30");
    const zone = fc.tuple(offset, fc.constantFrom(1, 2, 6), fc.tuple(weekday, time), fc.tuple(weekday, time));
    fc.assert(
      fc.property(zone, fc.integer({ min: 0, max: 1500 }), ([offset, month, begins, ends], day) => {
        const posix = `AAA${offset}BBB,M${2 + month}.${begins.join("")},M${((6 + month) % 12) + 1}.${ends.join("")}`;
        const found = zoneOfClocks(clocksOf(posix), year(2021) + day * DAY);
        expect([posix, changes(found ?? "none")]).toEqual([posix, changes(posix)]);
      }),
      { numRuns: 150 },
    );
  });

  it("that leave their rule once in ten years have none", () => {
    const clocks = clocksOf("<+01>-1<+02>,M3.5.0,M10.5.0/3");
    for (let week = 1; week < 52 * 10; week += 7) {
      const [begin, end] = [year(2026) + week * 7 * DAY, year(2026) + week * 7 * DAY + 6 * DAY];
      const strange: Clocks = (at) => clocks(at) + (at >= begin && at < end ? 3600 : 0);
      expect([week, zoneOfClocks(strange, year(2026))]).toEqual([week, undefined]);
    }
    expect(zoneOfClocks((at) => (at < year(2030) ? 0 : 3600), year(2026))).toBe(undefined);
    expect(zoneOfClocks((at) => (at < year(2030) ? clocks(at) : 3600), year(2026))).toBe(undefined);
    expect(zoneOfClocks(() => 1234, year(2026))).toBe(undefined);
  });
});

/** The last line of a file of a zone is its rule as its authors wrote it. */
const folder = "/usr/share/zoneinfo";

function versionOfFiles(): string | undefined {
  for (const file of ["tzdata.zi", "+VERSION"]) {
    if (existsSync(`${folder}/${file}`)) return /\d{4}[a-z]/.exec(readFileSync(`${folder}/${file}`, "latin1"))?.[0];
  }
  return undefined;
}

describe("the machine's files of zones", () => {
  it("have the same rules", ({ skip }) => {
    const [theirs, ours] = [versionOfFiles(), process.versions.tz];
    if (theirs?.slice(0, 4) !== ours?.slice(0, 4))
      skip(`the files are of ${theirs ?? "no version"}, Node knows the zones of ${ours ?? "no version"}`);
    let compared = 0;
    const different: string[] = [];
    for (const name of Intl.supportedValuesOf("timeZone")) {
      const path = `${folder}/${name}`;
      const result = translateTimeZoneAt(name, now);
      if (!existsSync(path) || !statSync(path).isFile() || !("posix" in result)) continue;
      const written = parsePosixTimeZone(readFileSync(path, "latin1").trimEnd().split("\n").at(-1) ?? "");
      compared++;
      if ("fault" in written) different.push(`${name}: ${written.fault}`);
      else if (written.forward === undefined) {
        const [, sign, hours, minutes] = /^([+-])(\d\d):(\d\d)$/.exec(result.posix) ?? [];
        const offset = sign === undefined ? 0 : Number(`${sign}1`) * (Number(hours) * 3600 + Number(minutes) * 60);
        if (written.winter !== offset) different.push(`${name}: ${written.winter}, not ${result.posix}`);
      } else {
        const zone = parsePosixTimeZone(result.posix);
        const turns = (year: number) => ("fault" in zone ? [] : changesIn(zone, year));
        const year = Array.from({ length: 100 }, (_, index) => 2027 + index).find(
          (each) => JSON.stringify(turns(each)) !== JSON.stringify(changesIn(written, each)),
        );
        if (year !== undefined) different.push(`${name}: ${result.posix} differs in ${year}`);
      }
    }
    expect(compared).toBeGreaterThan(300);
    // Countries change their minds between two versions.
    expect(different.slice(theirs === ours ? 0 : 5)).toEqual([]);
  });
});
