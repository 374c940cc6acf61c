import { readdirSync, readFileSync, statSync } from "node:fs";
import { dirname, join, normalize } from "node:path";
import { describe, expect, it } from "vitest";

/** What every source of service discovery is made of. */
const discoveryCore: readonly string[] = [
  "xds-server/config/discovery-model.ts",
  ...["backoff", "clock", "context", "endpoint", "errors", "limits", "secret", "source"].map(
    (name) => `xds-server/discovery/${name}.ts`,
  ),
];

/**
 * Who may import whom. A row names a folder and what its files may import besides itself; the longest matching folder counts.
 * Packages are "npm:<name>"; Node's own modules are free on the Node side.
 */
const table: readonly (readonly [folder: string, mayImport: readonly string[]])[] = [
  // AssemblyScript: the .wasm file is the only bridge to Node.
  ["filters/sdk", []],
  ["filters/lib", []],
  ["filters/state", ["filters/lib", "filters/sdk"]],
  ["filters/pipeline", ["filters/lib", "filters/sdk"]],
  ["filters/llm-router", ["filters/pipeline", "filters/state", "filters/lib", "filters/sdk"]],
  // The filter of the connection: what it shares with the HTTP side is filters/pipeline/connection-ends.ts.
  ["filters/stream-end", ["filters/pipeline/connection-ends", "filters/lib", "filters/sdk"]],
  [
    "filters/token-rate-limit",
    ["filters/stream-end", "filters/pipeline", "filters/state", "filters/lib", "filters/sdk"],
  ],
  ["filters/hash-ring", ["filters/pipeline", "filters/state", "filters/lib", "filters/sdk"]],
  ["filters/prompt-cache", ["filters/pipeline", "filters/state", "filters/lib", "filters/sdk"]],
  [
    "filters/llm-gateway",
    [
      "filters/llm-router",
      "filters/prompt-cache",
      "filters/token-rate-limit",
      "filters/hash-ring",
      "filters/stream-end",
      "filters/pipeline",
      "filters/lib",
      "filters/sdk",
    ],
  ],
  // Control plane: main -> server -> stream -> cache -> protos; nothing points back.
  ["protos", ["npm:protobufjs", "npm:@grpc/grpc-js-xds"]],
  ["xds-server/errors.ts", []],
  ["xds-server/grpc", ["xds-server/errors.ts"]],
  ["xds-server/log.ts", ["npm:pino"]],
  ["xds-server/config", ["xds-server/errors.ts", "xds-server/log.ts", "protos", "npm:yaml", "npm:chokidar"]],
  [
    "xds-server/resources",
    [
      "xds-server/config",
      "xds-server/cache",
      "xds-server/state/answers/follow-request.ts",
      "xds-server/errors.ts",
      "protos",
    ],
  ],
  [
    "xds-server/control-plane",
    [
      "xds-server/resources",
      "xds-server/config",
      "xds-server/cache",
      "xds-server/server/metrics.ts",
      "xds-server/errors.ts",
      "xds-server/log.ts",
      "protos",
    ],
  ],
  [
    "xds-server/state/ledger",
    [
      "xds-server/config",
      "xds-server/errors.ts",
      "xds-server/log.ts",
      "xds-server/state/redis",
      "xds-server/state/store-error.ts",
      "xds-server/grpc",
      "xds-server/server/http-server.ts",
      "npm:commander",
      "npm:prom-client",
      "npm:protobufjs",
    ],
  ],
  [
    "xds-server/state/answers",
    [
      "xds-server/errors.ts",
      "xds-server/log.ts",
      "xds-server/state/redis",
      "xds-server/state/store-error.ts",
      "xds-server/grpc",
      "npm:commander",
      "npm:ioredis",
      "npm:prom-client",
      "npm:protobufjs",
    ],
  ],
  ["xds-server/state/answers/follow-request.ts", []],
  ["xds-server/state/store-error.ts", []],
  ["xds-server/state/redis", ["xds-server/errors.ts", "xds-server/state/store-error.ts", "npm:ioredis"]],
  [
    "xds-server/state/records",
    [
      "xds-server/errors.ts",
      "xds-server/log.ts",
      "xds-server/state/redis",
      "xds-server/kubernetes",
      "xds-server/state/store-error.ts",
      "npm:prom-client",
    ],
  ],
  ["xds-server/state/loads", ["xds-server/grpc", "npm:prom-client", "npm:protobufjs"]],
  ["xds-server/kubernetes", ["npm:@kubernetes/client-node"]],
  [
    "xds-server/discovery",
    [
      "xds-server/config",
      "xds-server/state/records/store.ts",
      "xds-server/errors.ts",
      "xds-server/log.ts",
      "npm:dns-packet",
      "npm:prom-client",
      "npm:yaml",
    ],
  ],
  [
    "xds-server/discovery/registry",
    [
      "xds-server/discovery",
      "xds-server/config",
      "xds-server/state/records",
      "xds-server/state/store-error.ts",
      "xds-server/errors.ts",
      "xds-server/log.ts",
      "npm:prom-client",
    ],
  ],
  ["xds-server/discovery/registry-client", discoveryCore],
  ["xds-server/discovery/consul", ["xds-server/discovery/registry-client", ...discoveryCore]],
  ["xds-server/discovery/eureka", ["xds-server/discovery/registry-client", ...discoveryCore]],
  [
    "xds-server/discovery/kubernetes",
    ["xds-server/config", "xds-server/discovery", "xds-server/kubernetes", "xds-server/log.ts"],
  ],
  ["xds-server/cache", ["protos"]],
  ["xds-server/stream", ["xds-server/cache", "protos"]],
  ["xds-server/stream/checklist", ["xds-server/stream", "xds-server/cache", "protos", "npm:vitest"]],
  [
    "xds-server/server",
    [
      "xds-server/grpc",
      "xds-server/stream",
      "xds-server/cache",
      "xds-server/errors.ts",
      "xds-server/log.ts",
      "protos",
      "npm:protobufjs",
      "npm:prom-client",
    ],
  ],
  [
    "xds-server/api",
    [
      "xds-server/config",
      "xds-server/errors.ts",
      "xds-server/log.ts",
      "npm:fastify",
      "npm:@fastify/swagger",
      "npm:@fastify/type-provider-typebox",
      "npm:typebox",
      "npm:yaml",
    ],
  ],
  // The command line starts servers and asks running ones: it knows everything that main.ts knows.
  ["xds-server/cli", ["xds-server", "npm:commander", "npm:yaml"]],
  ["xds-server", ["xds-server", "protos", "npm:commander", "npm:yaml"]],
  // Data plane on the Node side.
  ["envoy/harness", []],
  ["envoy/replica", ["npm:commander", "npm:prom-client"]],
  ["envoy/stack", ["envoy/harness", "envoy/replica", "xds-server/index.ts", "npm:yaml", "npm:commander"]],
];

const root = new URL("../..", import.meta.url).pathname;
const imports = /(?:^|\n)\s*(?:import|export)\s(?:[^"';]*?\sfrom\s)?"([^"]+)"|import\("([^"]+)"\)/g;

function* sources(folder: string): Generator<string> {
  for (const name of readdirSync(join(root, folder)).sort()) {
    const path = join(folder, name);
    if (statSync(join(root, path)).isDirectory()) yield* sources(path);
    else if (path.endsWith(".ts") && !path.endsWith(".test.ts")) yield path;
  }
}

function targetsOf(file: string): string[] {
  const targets: string[] = [];
  for (const match of readFileSync(join(root, file), "utf8").matchAll(imports)) {
    const name = match[1] ?? match[2] ?? "";
    if (name.startsWith(".")) targets.push(normalize(join(dirname(file), name)));
    else if (!name.startsWith("node:")) {
      targets.push(
        `npm:${name
          .split("/")
          .slice(0, name.startsWith("@") ? 2 : 1)
          .join("/")}`,
      );
    } else if (file.startsWith("filters/")) targets.push(name);
  }
  return targets;
}

const under = (path: string, folder: string) => path === folder || path.startsWith(`${folder}/`);

function rowOf(file: string): (typeof table)[number] | undefined {
  return table.filter(([folder]) => under(file, folder)).sort((a, b) => b[0].length - a[0].length)[0];
}

function faults(file: string): string[] {
  const row = rowOf(file);
  if (row === undefined) return [`${file}: no row of the dependency table covers it`];
  const [folder, allowed] = row;
  return targetsOf(file)
    .filter((target) => !under(target, folder) && !allowed.some((entry) => under(target, entry)))
    .map((target) => `${file} may not import ${target}`);
}

describe("dependency direction", () => {
  it.each(["filters", "protos", "xds-server", "envoy"])("%s keeps to the table", (folder) => {
    expect([...sources(folder)].flatMap(faults)).toEqual([]);
  });

  it("has a row for every folder it names, and no filter imports a sibling", () => {
    for (const [folder] of table) expect(statSync(join(root, folder))).toBeTruthy();
    for (const name of readdirSync(join(root, "filters"), { withFileTypes: true })) {
      if (name.isDirectory()) expect(rowOf(`filters/${name.name}/index.ts`)?.[0]).toBe(`filters/${name.name}`);
    }
  });

  it("keeps the test host free of the SDK it checks", () => {
    for (const file of sources("test/host"))
      expect(targetsOf(file).filter((target) => under(target, "filters"))).toEqual([]);
  });

  it("lets nobody import test or bench", () => {
    for (const folder of ["filters", "protos", "xds-server", "envoy"]) {
      for (const file of sources(folder)) {
        expect(targetsOf(file).filter((target) => under(target, "test") || under(target, "bench"))).toEqual([]);
      }
    }
  });

  it("notices a forbidden import", () => {
    expect(faults("filters/pipeline/match/session.ts")).toEqual([]);
    expect(targetsOf("filters/pipeline/match/session.ts")).toContain("filters/lib/json-scanner");
    expect(targetsOf("xds-server/main.ts")).toContain("npm:commander");
  });
});
