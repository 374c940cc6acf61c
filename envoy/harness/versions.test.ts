import { describe, expect, it } from "vitest";
import {
  compareVersions,
  defaultVersion,
  exclusionReason,
  newestVersion,
  oldestVersion,
  supportedVersions,
  versionsUnderTest,
} from "./versions.ts";

describe("versions", () => {
  it("orders by number, not by text", () => {
    expect(["1.10.0", "1.9.3", "1.9.10"].sort(compareVersions)).toEqual(["1.9.3", "1.9.10", "1.10.0"]);
  });

  it("covers every release line from the oldest to the newest, and no release that is excluded", () => {
    const lines = supportedVersions().map((version) => version.split(".").slice(0, 2).join("."));
    expect(lines).toEqual(["1.36", "1.37", "1.38", "1.39", "1.40"]);
    expect(supportedVersions().filter((version) => exclusionReason(version) !== undefined)).toEqual([]);
    expect(exclusionReason("1.38.3")).toContain("V8");
    expect([oldestVersion(), newestVersion()]).toEqual([supportedVersions()[0], supportedVersions().at(-1)]);
    expect(defaultVersion()).toBe(newestVersion());
  });

  it("tests the oldest and the newest unless told otherwise", () => {
    expect(versionsUnderTest("")).toEqual([oldestVersion(), newestVersion()]);
    expect(versionsUnderTest("1.40.0, 1.37.0")).toEqual(["1.37.0", "1.40.0"]);
    expect(() => versionsUnderTest("1.40.0,1.38.3")).toThrow("1.38.3 is not in envoy/versions.json");
  });
});
