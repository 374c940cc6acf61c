/**
 * Where scripts/setup.mjs puts things: func-e in .tools/bin, Envoy binaries in func-e's own data folder, Python clients in .tools/venv.
 * The places are written down twice, here and in scripts/setup/places.mjs, because set-up runs before anything is compiled; a test compares them.
 */
import { existsSync, readFileSync } from "node:fs";
import { homedir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { EnvoyError } from "./errors.ts";
import { defaultVersion, exclusionReason } from "./versions.ts";

/** The folder that holds package.json: found upwards, because this module runs from envoy/ and from build/node/envoy/. */
export function projectRoot(): string {
  let folder = dirname(fileURLToPath(import.meta.url));
  while (!existsSync(join(folder, "package.json"))) {
    const parent = dirname(folder);
    if (parent === folder) throw new Error("no package.json above the harness");
    folder = parent;
  }
  return folder;
}

/** Path of func-e, or undefined when set-up did not build it (no Go, but ENVOY_PATH given). Never looked up on PATH: npm has an unrelated func-e. */
export function funcEPath(): string | undefined {
  const path = join(projectRoot(), ".tools/bin/func-e");
  return existsSync(path) ? path : undefined;
}

/** func-e's data folder. */
export const funcEDataHome = (): string => process.env.FUNC_E_DATA_HOME || join(homedir(), ".local/share/func-e");

/** Path of the Envoy binary of a version: ENVOY_PATH stands in for the default version, everything else is in func-e's data folder. */
export function envoyBinary(version: string): string {
  const given = process.env.ENVOY_PATH;
  const path =
    given && version === defaultVersion()
      ? resolve(given)
      : join(funcEDataHome(), "envoy-versions", version, "bin/envoy");
  if (existsSync(path)) return path;
  const reason = exclusionReason(version);
  const remedy = reason === undefined ? "run `node scripts/setup.mjs --all`" : `use another version: ${reason}`;
  throw new EnvoyError("envoy_missing", `Envoy ${version} is not installed (no ${path}); ${remedy}`);
}

/** The Python interpreter that has the official `openai` client, or the reason why there is none (tests then skip with it). */
export function pythonClients(): { python: string } | { reason: string } {
  const root = projectRoot();
  const python = join(root, ".tools/venv/bin/python");
  if (existsSync(join(root, ".tools/venv/installed.txt"))) return { python };
  const failures = join(root, ".tools/failures.json");
  const known = existsSync(failures) ? (JSON.parse(readFileSync(failures, "utf8")) as Failures) : {};
  return {
    reason: known["python-clients"]?.reason ?? "run `node scripts/setup.mjs --test` to install the Python clients",
  };
}

type Failures = Record<string, { readonly reason: string } | undefined>;
