/**
 * Which Envoy releases tokenmesh is tested on. The list itself is data (envoy/versions.json), shared with scripts/setup.mjs.
 */
import { readFileSync } from "node:fs";

interface VersionsFile {
  readonly supported: readonly string[];
  readonly excluded: readonly { readonly version: string; readonly reason: string }[];
}

const file = JSON.parse(readFileSync(new URL("../versions.json", import.meta.url), "utf8")) as VersionsFile;

/** Orders `major.minor.patch` versions numerically: 1.9.0 comes before 1.10.0. */
export function compareVersions(a: string, b: string): number {
  const [left, right] = [a.split(".").map(Number), b.split(".").map(Number)];
  for (let i = 0; i < 3; i++) {
    const difference = (left[i] ?? 0) - (right[i] ?? 0);
    if (difference !== 0) return difference;
  }
  return 0;
}

const supported = [...file.supported].sort(compareVersions);

function at(index: number): string {
  const version = supported.at(index);
  if (version === undefined) throw new Error("envoy/versions.json lists no supported version");
  return version;
}

/** Every supported release, oldest first. */
export const supportedVersions = (): string[] => [...supported];
export const newestVersion = (): string => at(-1);
export const oldestVersion = (): string => at(0);
/** The release that `npm start`, the benches and tests without a version run on. */
export const defaultVersion = newestVersion;

/** Why a release is left out on purpose, if it is. */
export const exclusionReason = (version: string): string | undefined =>
  file.excluded.find((entry) => entry.version === version)?.reason;

/**
 * The releases this test run covers, oldest first: the comma list in TOKENMESH_ENVOY_VERSIONS (scripts/test-envoy.mjs sets it), else the
 * oldest and the newest.
 */
export function versionsUnderTest(list = process.env.TOKENMESH_ENVOY_VERSIONS): string[] {
  const wanted = (list ?? "").split(",").filter((version) => version.trim() !== "");
  if (wanted.length === 0) return [...new Set([oldestVersion(), newestVersion()])];
  const unknown = wanted.filter((version) => !supported.includes(version.trim()));
  if (unknown.length > 0) {
    throw new Error(
      `TOKENMESH_ENVOY_VERSIONS: ${unknown.join(", ")} is not in envoy/versions.json (${supported.join(", ")})`,
    );
  }
  return wanted.map((version) => version.trim()).sort(compareVersions);
}
