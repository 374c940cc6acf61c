import { execFileSync, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import {
  adsBootstrap,
  cluster,
  EnvoyProcess,
  httpListener,
  type JsonObject,
  projectRoot,
  staticBootstrap,
  versionsUnderTest,
  waitFor,
} from "./index.ts";

const bootstrap = (port: number): JsonObject =>
  staticBootstrap({
    listeners: [httpListener({ name: "proxy", routes: [{ cluster: "upstream" }] })],
    clusters: [cluster({ name: "upstream", targets: [port] })],
  });

/** True while a process runs; one that has ended but waits for its parent to collect it counts as ended. */
function alive(pid: number): boolean {
  const { stdout } = spawnSync("ps", ["-o", "stat=", "-p", String(pid)], { encoding: "utf8" });
  return /^[^Z\s]/.test(stdout);
}

let upstream: Server;
let upstreamPort: number;

beforeAll(async () => {
  upstream = createServer((request, answer) => answer.end(`you asked for ${request.url}`));
  await new Promise<void>((resolve) => upstream.listen(0, "127.0.0.1", resolve));
  upstreamPort = (upstream.address() as AddressInfo).port;
});

afterAll(() => {
  upstream.closeAllConnections();
  upstream.close();
});

describe.each(versionsUnderTest())("Envoy %s", (version) => {
  it("starts, proxies a request, answers on its admin interface and stops", async () => {
    const envoy = await EnvoyProcess.start({ bootstrap: bootstrap(upstreamPort), version });
    try {
      const address = await envoy.listenerAddress("proxy");
      expect(address).toMatch(/^127\.0\.0\.1:\d+$/);
      const answer = await fetch(`http://${address}/hello`);
      expect(await answer.text()).toBe("you asked for /hello");
      expect(await envoy.admin.ready()).toBe(true);
      const stats = await envoy.admin.stats("^http\\.proxy\\.downstream_rq_(total|2xx)$");
      expect(stats).toEqual(
        new Map([
          ["http.proxy.downstream_rq_2xx", 1],
          ["http.proxy.downstream_rq_total", 1],
        ]),
      );
      expect((await envoy.admin.memory()).allocated).toBeGreaterThan(1_000_000);
      expect((await envoy.admin.configDump()).configs.length).toBeGreaterThan(3);
      const { version: running } = await envoy.admin.json<{ version: string }>("/server_info");
      expect(running).toContain(`/${version}/`);
      expect(alive(envoy.pid)).toBe(true);
    } finally {
      await envoy.stop();
    }
    expect(alive(envoy.pid)).toBe(false);
    await envoy.stop();
  });

  it("runs side by side with others", async () => {
    const all = await Promise.all(
      [1, 2, 3].map(() => EnvoyProcess.start({ bootstrap: bootstrap(upstreamPort), version })),
    );
    try {
      const addresses = await Promise.all(all.map((envoy) => envoy.listenerAddress("proxy")));
      expect(new Set(addresses).size).toBe(3);
      expect(new Set(all.map((envoy) => envoy.pid)).size).toBe(3);
      for (const address of addresses) expect((await fetch(`http://${address}/`)).status).toBe(200);
    } finally {
      await Promise.all(all.map((envoy) => envoy.stop()));
    }
  });
});

describe("a configuration that Envoy refuses", () => {
  it("gives an error with Envoy's own words and leaves nothing behind", async () => {
    const broken = staticBootstrap({
      listeners: [],
      clusters: [cluster({ name: "upstream", targets: [1], cluster: { type: "NO_SUCH_TYPE" } })],
    });
    const start = EnvoyProcess.start({ bootstrap: broken });
    await expect(start).rejects.toMatchObject({
      code: "envoy_exited",
      message: expect.stringMatching(/exited with code 1 during its start.*NO_SUCH_TYPE/s),
    });
  });

  it("takes YAML text too", async () => {
    const envoy = await EnvoyProcess.start({
      bootstrap: "admin: {address: {socket_address: {address: 127.0.0.1, port_value: 0}}}\n",
    });
    await envoy.stop();
  });
});

describe("the log", () => {
  // Lua's logErr is the plainest way to an [error] line of our own choice.
  const noisy = (port: number): JsonObject => {
    const lua: JsonObject = {
      name: "envoy.filters.http.lua",
      typed_config: {
        "@type": "type.googleapis.com/envoy.extensions.filters.http.lua.v3.Lua",
        default_source_code: {
          inline_string: 'function envoy_on_request(handle) handle:logErr("kettle on fire") end',
        },
      },
    };
    return staticBootstrap({
      listeners: [httpListener({ name: "proxy", routes: [{ cluster: "upstream" }], httpFilters: [lua] })],
      clusters: [cluster({ name: "upstream", targets: [port] })],
    });
  };

  it("makes stop() fail on an unexpected error line, every time it is called", async () => {
    const envoy = await EnvoyProcess.start({ bootstrap: noisy(upstreamPort) });
    await fetch(`http://${await envoy.listenerAddress("proxy")}/`);
    const entry = await envoy.log.waitFor(/kettle/);
    expect(entry).toMatchObject({ level: "error", logger: "lua" });
    const problem = { code: "envoy_logged_errors", message: expect.stringContaining("kettle on fire") };
    await expect(envoy.stop()).rejects.toMatchObject(problem);
    await expect(envoy.stop()).rejects.toMatchObject(problem);
    expect(alive(envoy.pid)).toBe(false);
  });

  it("accepts an error line that was announced", async () => {
    const envoy = await EnvoyProcess.start({
      bootstrap: noisy(upstreamPort),
      allowErrors: [/\[lua\].*kettle on fire/],
    });
    await fetch(`http://${await envoy.listenerAddress("proxy")}/`);
    await envoy.log.waitFor(/kettle/);
    await envoy.stop();
  });
});

describe("readiness", () => {
  it("reports an Envoy whose xDS server is down as not ready in time, and starts it on request", async () => {
    const down = adsBootstrap({ xdsAddress: "127.0.0.1:1", nodeId: "n", cluster: "c" });
    await expect(EnvoyProcess.start({ bootstrap: down, startTimeoutMs: 1_500 })).rejects.toMatchObject({
      code: "envoy_not_ready",
    });
    const envoy = await EnvoyProcess.start({ bootstrap: down, waitReady: false });
    expect(await envoy.admin.ready()).toBe(false);
    await envoy.stop();
  });
});

describe("the end of the process", () => {
  // Another program needs the harness as JavaScript; compiled alone, so that this test does not depend on the rest of the tree.
  let compiled: string;

  beforeAll(() => {
    const root = projectRoot();
    mkdirSync(join(root, "build"), { recursive: true });
    compiled = mkdtempSync(join(root, "build/harness-"));
    const config = { extends: join(root, "tsconfig.json"), files: [join(root, "envoy/harness/index.ts")], include: [] };
    writeFileSync(
      join(compiled, "tsconfig.json"),
      JSON.stringify({
        ...config,
        compilerOptions: { rootDir: root, outDir: compiled, typeRoots: [join(root, "node_modules/@types")] },
      }),
    );
    execFileSync(join(root, "node_modules/.bin/tsc"), ["-p", compiled], { stdio: "inherit" });
    cpSync(join(root, "envoy/versions.json"), join(compiled, "envoy/versions.json"));
  });

  afterAll(() => rmSync(compiled, { recursive: true, force: true }));

  it("is reported when nobody asked for it", async () => {
    const envoy = await EnvoyProcess.start({ bootstrap: bootstrap(upstreamPort) });
    process.kill(envoy.pid, "SIGKILL");
    await envoy.exited;
    await expect(envoy.stop()).rejects.toMatchObject({ code: "envoy_exited" });
  });

  it("takes Envoy along when func-e is killed", async () => {
    const envoy = await EnvoyProcess.start({ bootstrap: bootstrap(upstreamPort) });
    process.kill(envoy.launcherPid, "SIGKILL");
    await waitFor(() => !alive(envoy.pid), { what: "the end of Envoy", timeoutMs: 5_000 });
    await envoy.exited;
    await expect(envoy.stop()).rejects.toMatchObject({ code: "envoy_exited" });
  });

  it("comes within the bound for an Envoy that hangs", async () => {
    const envoy = await EnvoyProcess.start({ bootstrap: bootstrap(upstreamPort) });
    process.kill(envoy.pid, "SIGSTOP");
    const began = performance.now();
    await envoy.stop();
    expect(performance.now() - began).toBeLessThan(9_000);
    expect(alive(envoy.pid)).toBe(false);
  });

  it.each(["SIGKILL", "SIGTERM"] as const)("comes when the program that started it gets %s", async (signal) => {
    const module = pathToFileURL(join(compiled, "envoy/harness/index.js")).href;
    const program = `
      import { EnvoyProcess, staticBootstrap } from ${JSON.stringify(module)};
      const envoy = await EnvoyProcess.start({ bootstrap: staticBootstrap({ listeners: [], clusters: [] }) });
      console.log(JSON.stringify([envoy.pid, envoy.launcherPid]));
      setInterval(() => {}, 1000);
    `;
    const starter = spawn(process.execPath, ["--input-type=module", "--eval", program], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    let pids: number[] = [];
    try {
      const [line] = (await once(starter.stdout, "data")) as [Buffer];
      pids = JSON.parse(line.toString()) as number[];
      expect(pids.map(alive)).toEqual([true, true]);
      starter.kill(signal);
      await waitFor(() => !pids.some(alive), { what: "the end of Envoy and func-e", timeoutMs: 5_000 });
    } finally {
      starter.kill("SIGKILL");
      for (const pid of pids.filter(alive)) process.kill(pid, "SIGKILL");
    }
  });
});
