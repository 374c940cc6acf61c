import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { TypeUrl } from "../../protos/index.ts";
import { SnapshotCache, typeSnapshot } from "../cache/index.ts";
import type { LogLevel } from "../log.ts";
import { createMetrics } from "../server/metrics.ts";
import { ControlPlane } from "./control-plane.ts";

/** From the folder and the compiled filters to the cache: which filters are read, and what happens when one is missing or new. */

const GATEWAY = `
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: edge}
spec: {servers: [{port: {number: 0, name: http, protocol: HTTP}, hosts: ["*"]}]}
`;
const ROUTER = `
apiVersion: tokenmesh.io/v1alpha1
kind: LLMRouter
metadata: {name: chat}
spec: {models: [{model: "*", route: r}]}
`;
const LIMIT = `
apiVersion: tokenmesh.io/v1alpha1
kind: TokenRateLimit
metadata: {name: budgets}
spec: {rules: [{name: all, limits: [{unit: tokens, amount: 10, per: day}]}]}
`;

describe("the filters of a configuration", () => {
  let configDir: string;
  let wasmDir: string;
  let cache: SnapshotCache;
  let control: ControlPlane;
  let logged: [LogLevel, string][];

  beforeEach(() => {
    [configDir, wasmDir] = [
      mkdtempSync(join(tmpdir(), "tokenmesh-pub-")),
      mkdtempSync(join(tmpdir(), "tokenmesh-pub-")),
    ];
    cache = new SnapshotCache();
    logged = [];
    const log = (level: LogLevel, message: string) => void logged.push([level, message]);
    const metrics = createMetrics();
    control = new ControlPlane({ configDir, wasmDir, wasm: "inline", cache, metrics, log, now: () => 1 });
  });
  afterEach(() => {
    for (const dir of [configDir, wasmDir]) rmSync(dir, { recursive: true, force: true });
  });

  const write = (...documents: readonly string[]) => writeFileSync(join(configDir, "a.yaml"), documents.join("---"));
  const compile = (filter: string, code = "1") => writeFileSync(join(wasmDir, `${filter}.wasm`), code);
  const filters = () => {
    const snapshot = cache.get("default");
    return snapshot === undefined ? [] : [...typeSnapshot(snapshot, TypeUrl.extensionConfig).resources.values()];
  };

  it.each([
    ["llm-router", [ROUTER]],
    ["token-rate-limit", [LIMIT]],
    ["llm-gateway", [ROUTER, LIMIT]],
  ])("%s is needed, and no other", (filter, documents) => {
    for (const other of ["llm-router", "token-rate-limit", "llm-gateway"]) if (other !== filter) compile(other);
    write(GATEWAY, ...documents);
    expect(control.load()).toBe("rejected");
    expect(control.errors).toMatchObject([
      { code: "TM_FILTER_MISSING", file: join(wasmDir, `${filter}.wasm`), message: expect.stringContaining(filter) },
    ]);
    for (const other of ["llm-router", "token-rate-limit", "llm-gateway"])
      if (other !== filter) rmSync(join(wasmDir, `${other}.wasm`));
    // The folder is the same: it is the filter that makes it worth another look.
    compile(filter);
    expect(control.load()).toBe("published");
    expect(filters().map(({ name }) => name)).toEqual([expect.stringMatching(`^tokenmesh\\.${filter}/`)]);
    expect(control.load()).toBe("unchanged");
    const [before] = filters();
    compile(filter, "22");
    expect(control.load()).toBe("published");
    expect(filters()[0]?.name).toBe(before?.name);
    expect(filters()[0]?.version).not.toBe(before?.version);
  });

  it("all that are missing are named, and what was served stays", () => {
    compile("llm-router");
    write(GATEWAY, ROUTER);
    expect(control.load()).toBe("published");
    const before = filters();
    rmSync(join(wasmDir, "llm-router.wasm"));
    const second = GATEWAY.replace("edge", "second");
    const routed = ROUTER.replace("{name: chat}", "{name: chat, annotations: {tokenmesh.io/gateways: edge}}");
    const limited = LIMIT.replace("{name: budgets}", "{name: budgets, annotations: {tokenmesh.io/gateways: second}}");
    write(GATEWAY, second, routed, limited);
    expect(control.load()).toBe("rejected");
    const names = control.errors.map(({ file }) => file.slice(wasmDir.length + 1));
    expect([...names].sort()).toEqual(["llm-router.wasm", "token-rate-limit.wasm"]);
    expect(filters()).toEqual(before);
  });

  it("one that no Gateway has is built, with a warning as long as that is so", () => {
    compile("token-rate-limit");
    write(GATEWAY, LIMIT.replace("{name: budgets}", "{name: budgets, namespace: other}"));
    expect(control.load()).toBe("published");
    expect([control.errors, filters()]).toMatchObject([[], [{ name: "tokenmesh.token-rate-limit/other/budgets" }]]);
    const warning = { code: "TM_CONFIG_UNUSED", file: join(configDir, "a.yaml"), line: 9, column: 18 };
    expect(control.warnings).toMatchObject([warning]);
    expect(logged.filter(([level]) => level === "warn")).toEqual([
      [
        "warn",
        expect.stringContaining(":9:18: TM_CONFIG_UNUSED TokenRateLimit other/budgets is in no Gateway; Put it"),
      ],
    ]);
    // What is served is what the warning is about.
    write(GATEWAY, "kind: X");
    expect(control.load()).toBe("rejected");
    expect(control.warnings).toHaveLength(1);
    logged.length = 0;
    write(GATEWAY, LIMIT);
    expect(control.load()).toBe("published");
    expect([control.warnings, logged.filter(([level]) => level === "warn")]).toEqual([[], []]);
  });

  it("none is needed without such documents", () => {
    write(GATEWAY);
    expect(control.load()).toBe("published");
    expect(filters()).toEqual([]);
  });
});
