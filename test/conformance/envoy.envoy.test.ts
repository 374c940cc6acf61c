import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import {
  cluster,
  EnvoyProcess,
  httpListener,
  projectRoot,
  staticBootstrap,
  versionsUnderTest,
  wasmFilter,
} from "../../envoy/harness/index.ts";
import { envoyDriver } from "./envoy-driver.ts";
import { type Refusal, refusals, renamed } from "./process-facts.ts";
import { conformanceSuite } from "./suite.ts";
import { updatableEnvoy } from "./updatable-envoy.ts";
import { updateSuite } from "./update-suite.ts";

/** Starts an Envoy with one plugin and stops it; the log of the start is kept in `log`. */
async function startAndStop(
  version: string,
  { module, rename, config = "" }: Omit<Refusal, "name" | "says">,
  log: string,
): Promise<void> {
  const code = readFileSync(`${projectRoot()}/build/test-wasm/${module}.wasm`);
  const file = `${log}.wasm`;
  writeFileSync(file, rename ? renamed(code, rename) : code);
  const filter = wasmFilter({ name: "probe", file, configuration: config });
  const envoy = await EnvoyProcess.start({
    version,
    keepLog: log,
    allowErrors: [/.*/],
    bootstrap: staticBootstrap({
      clusters: [cluster({ name: "a", targets: [1] })],
      listeners: [httpListener({ name: "main", routes: [{ cluster: "a" }], httpFilters: [filter] })],
    }),
  });
  await envoy.stop();
}

for (const version of versionsUnderTest()) {
  conformanceSuite(`envoy ${version}`, () => envoyDriver(version));
  updateSuite(`envoy ${version}`, () => updatableEnvoy(version));

  describe(`envoy ${version} refuses`, () => {
    const inFolder = async (check: (log: string) => Promise<void>): Promise<void> => {
      const dir = mkdtempSync(join(tmpdir(), "conformance-"));
      await check(join(dir, "envoy.log")).finally(() => rmSync(dir, { recursive: true, force: true }));
    };

    test.each(refusals)("$name", (refusal) =>
      inFolder(async (log) => {
        await expect(startAndStop(version, refusal, log)).rejects.toMatchObject({ code: "envoy_exited" });
        expect(readFileSync(log, "utf8")).toMatch(refusal.says);
      }),
    );
    test("nothing about the module as it is", () =>
      inFolder((log) => startAndStop(version, { module: "probe", config: "plain" }, log)));
  });
}
