import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";
import { type RunningServer, startServer } from "./index.ts";
import { jsonLogger } from "./log.ts";

/** A server that listens on all addresses does not know at which one Envoys find it, unless it is told. */

const CACHE = `
apiVersion: tokenmesh.io/v1alpha1
kind: PromptCache
metadata: {name: answers}
spec: {rules: [{name: all, semantic: true}], service: true}
`;

let dir: string;
let server: RunningServer | undefined;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), "tokenmesh-address-"));
});
afterEach(async () => {
  await server?.close();
  server = undefined;
  rmSync(dir, { recursive: true, force: true });
});

it("says which caches cannot be reached by what they ask of it, and how to mend that", async () => {
  writeFileSync(join(dir, "a.yaml"), CACHE);
  for (const advertise of [undefined, "192.0.2.7:18000"]) {
    const lines: string[] = [];
    const log = jsonLogger("warn", (line) => lines.push(line));
    server = await startServer({ configDir: dir, xds: "0.0.0.0:0", log, ...(advertise && { advertise }) });
    expect(server.configErrors()).toEqual([]);
    await server.close();
    const warnings = lines.map((line) => JSON.parse(line)).filter(({ promptCaches }) => promptCaches !== undefined);
    expect(warnings).toMatchObject(
      advertise === undefined ? [{ level: "warn", remedy: "--advertise", promptCaches: ["default/answers"] }] : [],
    );
  }
});
