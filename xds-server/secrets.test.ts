import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { type RunningServer, startServer } from "./index.ts";
import { jsonLogger } from "./log.ts";

/** A secret in the configuration goes to Envoy and nowhere else: not to the log, not to the admin API. */

const SECRET = `zq-"cherry"\\'apple'`;
const router = (credential: object, more: object = {}) =>
  JSON.stringify({
    apiVersion: "tokenmesh.io/v1alpha1",
    kind: "LLMRouter",
    metadata: { name: "chat" },
    spec: {
      targets: { provider: { route: "provider", credential } },
      rules: [{ name: "all", targets: [{ target: "provider" }] }],
      ...more,
    },
  });

describe("a credential", () => {
  let dir: string;
  let log: string[];
  let server: RunningServer;

  beforeEach(async () => {
    dir = mkdtempSync(join(tmpdir(), "tokenmesh-secrets-"));
    log = [];
    writeFileSync(join(dir, "router.json"), router({ value: SECRET }));
    // Never run here.
    writeFileSync(join(dir, "llm-router.wasm"), new Uint8Array([0, 0x61, 0x73, 0x6d]));
    server = await startServer({ configDir: dir, wasmDir: dir, log: jsonLogger("debug", (line) => log.push(line)) });
  });
  afterEach(async () => {
    await server.close();
    rmSync(dir, { recursive: true, force: true });
  });

  async function everythingShown(): Promise<string> {
    const pages = ["/snapshot", "/ready", "/metrics"].map(async (path) => {
      const answer = await fetch(`http://${server.apiAddress}${path}`);
      return answer.text();
    });
    return [...(await Promise.all(pages)), ...log].join("\n");
  }

  it("that is served is hidden in the snapshot, and the rest of its configuration is not", async () => {
    const shown = await everythingShown();
    expect(shown).toContain("(hidden)");
    expect(shown).toContain("Bearer ");
    expect(shown).not.toMatch(/zq-|cherry|apple/);
  });

  it("is hidden in the configuration of a router with budgets too", async () => {
    const gateway = { port: { number: 0, name: "http", protocol: "HTTP" }, hosts: ["*"] };
    const limit = [{ name: "all", limits: [{ unit: "tokens", amount: 1, per: "day" }] }];
    const documents = [
      {
        apiVersion: "networking.istio.io/v1",
        kind: "Gateway",
        metadata: { name: "edge" },
        spec: { servers: [gateway] },
      },
      {
        apiVersion: "tokenmesh.io/v1alpha1",
        kind: "TokenRateLimit",
        metadata: { name: "all" },
        spec: { rules: limit },
      },
    ];
    for (const [index, each] of documents.entries()) writeFileSync(join(dir, `${index}.json`), JSON.stringify(each));
    writeFileSync(join(dir, "llm-gateway.wasm"), new Uint8Array([0, 0x61, 0x73, 0x6d]));
    server.reload();
    expect(server.configErrors()).toEqual([]);
    const shown = await everythingShown();
    expect(shown).toContain("llm-gateway");
    expect(shown).toContain("(hidden)");
    expect(shown).not.toMatch(/zq-|cherry|apple/);
  });

  it.each([
    ["has a space", router({ value: `${SECRET} ` })],
    ["stands under env", router({ env: SECRET })],
    ["is in a file with another error", router({ value: SECRET }, { maxBodyBytes: 0 })],
    ["is in a file that is no YAML", `${router({ value: SECRET })} "zq-cherry" "zq-cherry"`],
  ])("that %s is not part of the error", async (_what, text) => {
    writeFileSync(join(dir, "router.json"), text);
    server.reload();
    expect(server.configErrors().length).toBeGreaterThan(0);
    expect(await everythingShown()).not.toMatch(/zq-|cherry|apple/);
  });
});
