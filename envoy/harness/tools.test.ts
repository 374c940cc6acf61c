import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { pathToFileURL } from "node:url";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { envoyBinary, funcEDataHome, projectRoot } from "./tools.ts";
import { newestVersion, oldestVersion } from "./versions.ts";

let home: string;

beforeEach(() => {
  home = mkdtempSync(join(tmpdir(), "tokenmesh-tools-"));
  vi.stubEnv("FUNC_E_DATA_HOME", home);
  vi.stubEnv("ENVOY_PATH", "");
});

afterEach(() => {
  vi.unstubAllEnvs();
  rmSync(home, { recursive: true, force: true });
});

function install(version: string): string {
  const path = join(home, "envoy-versions", version, "bin/envoy");
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, "");
  chmodSync(path, 0o755);
  return path;
}

describe("envoyBinary", () => {
  it("is in func-e's data folder", () => {
    const path = install(oldestVersion());
    expect(envoyBinary(oldestVersion())).toBe(path);
  });

  it("is ENVOY_PATH for the default version, and for no other", () => {
    const given = join(home, "my-envoy");
    writeFileSync(given, "");
    vi.stubEnv("ENVOY_PATH", given);
    const path = install(oldestVersion());
    expect(envoyBinary(newestVersion())).toBe(given);
    expect(envoyBinary(oldestVersion())).toBe(path);
  });

  it("says how to get a version that is missing, and why one is left out", () => {
    expect(() => envoyBinary(newestVersion())).toThrow("run `node scripts/setup.mjs --all`");
    expect(() => envoyBinary("1.38.3")).toThrow("V8");
  });
});

describe("set-up", () => {
  it("puts things where the harness looks for them", async () => {
    vi.resetModules();
    const places: unknown = await import(pathToFileURL(join(projectRoot(), "scripts/setup/places.mjs")).href);
    expect(places).toMatchObject({
      toolsDir: join(projectRoot(), ".tools"),
      funcE: join(projectRoot(), ".tools/bin/func-e"),
      venvStamp: join(projectRoot(), ".tools/venv/installed.txt"),
      failuresFile: join(projectRoot(), ".tools/failures.json"),
      dataHome: funcEDataHome(),
    });
  });
});
