import { describe, expect, it } from "vitest";
import { isAfter, placeOf, restoration } from "./restoration.ts";

const record = (version: string) => ({ value: version, version });
const knowledge = (prefix: string, records: Readonly<Record<string, string>>) => ({
  prefix,
  records: new Map(Object.entries(records).map(([key, version]) => [key, record(version)])),
});
const step = ({ do: what, key }: { do: string; key: string }) => `${what} ${key}`;

describe("putting back what Redis has lost", () => {
  it("orders versions by generation, then by change; what is none is before all", () => {
    expect(isAfter(placeOf("1795333061123.10.ab"), placeOf("1795333061123.9.ff"))).toBe(true);
    expect(isAfter(placeOf("2.1.a"), placeOf("1.99.a"))).toBe(true);
    expect(isAfter(placeOf("1.1.a"), placeOf("1.1.b"))).toBe(false);
    for (const none of ["", "v2", "0123abc", "1.2", "1.-2.a", `${"9".repeat(16)}.1.a`])
      expect(placeOf(none)).toEqual({ generation: 0, change: 0 });
  });

  it("puts back what is not there, renews what is older, removes what it knows to be gone, leaves what is newer", () => {
    const known = [knowledge("w/", { "w/lost": "1.1.a", "w/old": "1.7.a", "w/new": "1.2.a" })];
    const versions = new Map([
      ["w/old", "1.3.a"],
      ["w/new", "2.1.a"],
      ["w/gone", "1.4.a"],
      ["w/unheard", "1.9.a"],
      ["other", "1.1.a"],
    ]);
    const steps = restoration(known, "1.8.a", versions);
    expect(steps.map(step)).toEqual(["put back w/lost", "renew w/old", "renew w/gone"]);
    expect(steps[1]).toMatchObject({ record: record("1.7.a"), stale: "1.3.a" });
    expect(steps[2]).toMatchObject({ record: undefined, stale: "1.4.a" });
  });

  it("does nothing to the records of another Redis, however old they look", () => {
    const versions = new Map([
      ["w/a", "5.1.x"],
      ["w/b", "v1"],
    ]);
    expect(restoration([knowledge("w/", { "w/a": "9.9.a" })], "9.9.a", versions)).toEqual([]);
  });

  it("knows that a record of an earlier generation is gone that it has heard of", () => {
    const known = [knowledge("w/", { "w/a": "1.3.a" })];
    expect(restoration(known, "2.5.a", new Map([["w/b", "1.2.a"]])).map(step)).toEqual(["put back w/a", "renew w/b"]);
  });
});
