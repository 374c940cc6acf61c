import { type ChildProcess, spawn } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { connect } from "node:tls";
import { fileURLToPath } from "node:url";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { waitFor } from "../envoy/harness/wait-for.ts";

/** The command line as a process of its own: output, exit codes, signals. It is compiled first, because Node 20 does not run TypeScript. */

const root = fileURLToPath(new URL("..", import.meta.url));
const out = mkdtempSync(join(root, "node_modules", ".cli-test-"));
const main = join(out, "xds-server", "main.js");

interface Result {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

interface Running {
  readonly process: ChildProcess;
  readonly done: Promise<Result>;
  stdout(): string;
  stderr(): string;
}

const started: ChildProcess[] = [];

function run(command: string, ...args: readonly string[]): Running {
  const child = spawn(command, args, { cwd: root, stdio: ["ignore", "pipe", "pipe"] });
  started.push(child);
  const text = { stdout: "", stderr: "" };
  for (const name of ["stdout", "stderr"] as const) {
    child[name].setEncoding("utf8").on("data", (chunk: string) => {
      text[name] += chunk;
    });
  }
  const done = new Promise<Result>((resolve) => child.on("close", (code) => resolve({ code, ...text })));
  return { process: child, done, stdout: () => text.stdout, stderr: () => text.stderr };
}

const cli = (...args: readonly string[]) => run(process.execPath, main, ...args);

/** A document that is right and takes effect nowhere. */
const UNUSED = `---
apiVersion: tokenmesh.io/v1alpha1
kind: TokenRateLimit
metadata: {name: budgets, namespace: other}
spec: {rules: [{name: all, limits: [{unit: tokens, amount: 10, per: day}]}]}
`;

const ROUTES = `
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: edge}
spec: {servers: [{port: {number: 0, name: http, protocol: HTTP}, hosts: ["*"]}]}
`;

const MEBIBYTE = 1024 * 1024;

describe("tokenmesh", () => {
  let dir: string;
  beforeAll(async () => {
    const tsc = join(root, "node_modules", ".bin", "tsc");
    const { code, stdout } = await run(tsc, "-p", "tsconfig.build.json", "--outDir", out, "--noCheck").done;
    if (code !== 0) throw new Error(stdout);
  }, 60_000);
  afterAll(() => rmSync(out, { recursive: true, force: true }));
  afterEach(() => {
    for (const child of started.splice(0)) child.kill("SIGKILL");
    rmSync(dir, { recursive: true, force: true });
  });

  const folder = (text: string) => {
    dir = mkdtempSync(join(tmpdir(), "tokenmesh-cli-"));
    writeFileSync(join(dir, "a.yaml"), text);
    return dir;
  };

  it("validate: 0 and a line when all is well", async () => {
    expect(await cli("validate", folder(ROUTES)).done).toEqual({ code: 0, stdout: "1 file valid\n", stderr: "" });
  });

  it("validate: 0 and a warning when a document takes effect nowhere", async () => {
    const { code, stdout } = await cli("validate", folder(ROUTES + UNUSED)).done;
    expect(code).toBe(0);
    expect(stdout.split("\n").map((line) => line.replace(`${dir}/`, ""))).toEqual([
      expect.stringMatching(/^a\.yaml:\d+:18: TM_CONFIG_UNUSED TokenRateLimit other\/budgets is in no Gateway; Put it/),
      "1 file valid",
      "",
    ]);
  });

  it("validate: 1 and every error with file, line and column", async () => {
    const { code, stdout } = await cli("validate", folder(ROUTES.replace("HTTP}", "HTTPX}").replace("hosts:", "host:")))
      .done;
    expect(code).toBe(1);
    expect(stdout.split("\n").map((line) => line.replace(`${dir}/`, ""))).toEqual([
      expect.stringMatching(/^a\.yaml:5:18: TM_CONFIG_MISSING_FIELD .*hosts/),
      expect.stringMatching(/^a\.yaml:5:59: TM_CONFIG_INVALID_VALUE .*HTTPX/),
      expect.stringMatching(/^a\.yaml:5:67: TM_CONFIG_UNKNOWN_FIELD .*Did you mean hosts/),
      "",
    ]);
  });

  it("validate: 2 for a path that does not exist, and for a wrong command line", async () => {
    const wrong = [["validate", join(folder(ROUTES), "missing")], ["validate"], ["serve"], ["nonsense"]];
    const results = await Promise.all(wrong.map((args) => cli(...args).done));
    expect(results.map(({ code }) => code)).toEqual([2, 2, 2, 2]);
    expect(await cli("--version").done).toMatchObject({ code: 0, stdout: expect.stringMatching(/^\d+\.\d+\.\d+/) });
  });

  it.each(["SIGINT", "SIGTERM"] as const)("serve: one ready line, answers, and ends with 0 on %s", async (signal) => {
    const server = cli("serve", "--config", folder(ROUTES + UNUSED));
    await waitFor(() => server.stdout().includes("\n"), { timeoutMs: 10_000, what: `ready line (${server.stderr()})` });
    const line = /^ready (\{.*\})\n$/.exec(server.stdout())?.[1];
    const { xds, api } = JSON.parse(line ?? "{}") as { xds: string; api: string };
    expect(xds).toMatch(/^127\.0\.0\.1:\d+$/);
    expect(await (await fetch(`${api}/ready`)).json()).toEqual({ ready: true, configErrors: [] });
    expect(await (await fetch(`${api}/metrics`)).text()).toContain('tokenmesh_xds_resources{type="LDS"} 1');
    const snapshot = await (await fetch(`${api}/snapshot`)).json();
    expect(snapshot).toMatchObject({ configErrors: [], configWarnings: [{ code: "TM_CONFIG_UNUSED" }] });
    expect((await fetch(`${api}/nowhere`)).status).toBe(404);
    expect((await fetch(`${api}/ready`, { method: "POST" })).status).toBe(405);
    server.process.kill(signal);
    expect((await server.done).code).toBe(0);
  });

  it("serve: what V8 grew to for the start is not kept", async () => {
    const server = cli("serve", "--config", folder(ROUTES));
    await waitFor(() => server.stdout().includes("\n"), { timeoutMs: 10_000, what: `ready line (${server.stderr()})` });
    const { api } = JSON.parse(server.stdout().slice("ready ".length)) as { api: string };
    const metrics = await (await fetch(`${api}/metrics`)).text();
    const [, bytes] = /^nodejs_heap_space_size_total_bytes\{space="new"\} (\d+)$/m.exec(metrics) ?? [];
    expect(Number(bytes)).toBeGreaterThan(0);
    expect(Number(bytes)).toBeLessThanOrEqual(8 * MEBIBYTE);
  });

  it("the space for what is new is held, then grows, and has a bound", async () => {
    const script = (...steps: readonly string[]): string => `
      const { boundYoungGeneration, holdYoungGeneration } = await import(${JSON.stringify(join(out, "xds-server", "young-generation.js"))});
      const { getHeapSpaceStatistics } = await import("node:v8");
      const sizes = [];
      // Most of it survives, which is what V8 takes for a reason to grow.
      const make = async () => {
        for (let round = 0; round < 40; round++) {
          globalThis.kept = Array.from({ length: 50_000 }, (_, n) => ({ n, list: [n] }));
          await new Promise((resolve) => setImmediate(resolve));
        }
        sizes.push(getHeapSpaceStatistics().find(({ space_name }) => space_name === "new_space").space_size);
      };
      ${steps.join("();\n")}();
      console.log(JSON.stringify(sizes));`;
    const sizesOf = async (flags: readonly string[], ...steps: readonly string[]): Promise<readonly number[]> => {
      const program = ["--input-type=module", "-e", script(...steps)];
      const { code, stdout, stderr } = await run(process.execPath, ...flags, ...program).done;
      expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
      return (JSON.parse(stdout) as readonly number[]).map((bytes) => bytes / MEBIBYTE);
    };
    const steps = ["holdYoungGeneration", "await make", "boundYoungGeneration", "await make", "await make"];
    const [held = 0, ...bounded] = await sizesOf([], ...steps);
    expect(held).toBeLessThanOrEqual(4);
    expect(Math.min(...bounded)).toBeGreaterThan(held);
    // News of a collection comes a turn later, so one step more than the bound is possible.
    expect(Math.max(...bounded)).toBeLessThanOrEqual(16);
    const [free = 0] = await sizesOf([], "await make");
    expect(free).toBeGreaterThan(16);
    const [operator = 0] = await sizesOf(["--min-semi-space-size=16"], ...steps);
    expect(operator).toBeGreaterThan(16);
  });

  it("serve: with certificates, a token and state; SIGHUP reads the certificates again; a second server cannot have the same state", async () => {
    const where = folder(ROUTES);
    const pem = (name: string) => join(dir, ".pem", name);
    mkdirSync(join(dir, ".pem"));
    const certificate = async (): Promise<string> => {
      const subject = ["-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1", "-days", "2"];
      const key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"];
      const files = ["-keyout", pem("key"), "-out", pem("cert")];
      expect((await run("openssl", "req", "-x509", ...key, ...subject, ...files).done).code).toBe(0);
      return readFileSync(pem("cert"), "utf8");
    };
    const before = await certificate();
    writeFileSync(pem("token"), "0123456789abcdef\n");
    const tls = [
      "--api-cert",
      pem("cert"),
      "--api-key",
      pem("key"),
      "--xds-cert",
      pem("cert"),
      "--xds-key",
      pem("key"),
    ];
    const state = ["--state", `file:${join(dir, ".state")}`];
    const server = cli("serve", "--config", where, ...tls, "--api-token-file", pem("token"), ...state);
    await waitFor(() => server.stdout().includes("\n"), { timeoutMs: 10_000, what: `ready line (${server.stderr()})` });
    const { xds, api } = JSON.parse(server.stdout().slice("ready ".length)) as { xds: string; api: string };
    const access = ["--server", api, "--ca", pem("cert")];
    const status = await cli("status", ...access, "--token-file", pem("token")).done;
    expect([status.code, status.stderr, status.stdout]).toEqual([0, "", expect.stringContaining("server   ready")]);
    const refused = await cli("status", ...access).done;
    expect([refused.code, refused.stderr]).toEqual([2, expect.stringContaining("TM_API_UNAUTHORIZED")]);
    const locked = await cli("serve", "--config", where, ...state).done;
    expect([locked.code, locked.stderr]).toEqual([2, expect.stringContaining("TM_STATE_LOCKED")]);

    const shown = async (address = xds, protocol = "h2"): Promise<string> => {
      const [host = "", port = ""] = address.split(":");
      const socket = connect({ host, port: Number(port), rejectUnauthorized: false, ALPNProtocols: [protocol] });
      await new Promise((resolve, reject) => socket.once("secureConnect", resolve).once("error", reject));
      const raw = socket.getPeerX509Certificate()?.toString() ?? "";
      socket.destroy();
      return raw;
    };
    const ofApi = () => shown(new URL(api).host, "http/1.1");
    expect([await shown(), await ofApi()]).toEqual([before, before]);
    const after = await certificate();
    server.process.kill("SIGHUP");
    await waitFor(async () => (await shown()) === after && (await ofApi()) === after, {
      timeoutMs: 10_000,
      what: "the new certificate",
    });
    writeFileSync(pem("cert"), "none");
    server.process.kill("SIGHUP");
    await waitFor(() => /TM_API_CREDENTIALS.*certificates of the admin API kept/.test(server.stderr()), {
      timeoutMs: 10_000,
      what: "the refusal",
    });
    expect([await shown(), await ofApi()]).toEqual([after, after]);
    server.process.kill("SIGTERM");
    expect((await server.done).code).toBe(0);
  });

  it("serve: SIGHUP reads the token again; the former one is refused, and a file that holds none changes nothing", async () => {
    const where = folder(ROUTES);
    const file = join(dir, ".token");
    const [former, next] = ["0123456789abcdef", "fedcba9876543210"];
    writeFileSync(file, `${former}\n`);
    const server = cli("serve", "--config", where, "--api-token-file", file);
    await waitFor(() => server.stdout().includes("\n"), { timeoutMs: 30_000, what: `ready line (${server.stderr()})` });
    const { api } = JSON.parse(server.stdout().slice("ready ".length)) as { api: string };
    const asked = async (token: string) =>
      (await fetch(`${api}/api/v1/status`, { headers: { authorization: `Bearer ${token}` } })).status;
    const both = async () => [await asked(former), await asked(next)];
    expect(await both()).toEqual([200, 401]);
    const kept = () => server.stderr().match(/TM_API_CREDENTIALS.*token of the admin API kept/g)?.length ?? 0;
    const broken = [() => writeFileSync(file, ""), () => writeFileSync(file, "tooshort\n"), () => rmSync(file)];
    for (const [index, breakIt] of broken.entries()) {
      breakIt();
      server.process.kill("SIGHUP");
      await waitFor(() => kept() > index, { timeoutMs: 10_000, what: "the refusal" });
      expect(await both()).toEqual([200, 401]);
    }
    writeFileSync(file, `${next}\n`);
    server.process.kill("SIGHUP");
    await waitFor(async () => (await asked(next)) === 200, { timeoutMs: 10_000, what: "the new token" });
    expect(await both()).toEqual([401, 200]);
    server.process.kill("SIGTERM");
    expect((await server.done).code).toBe(0);
    expect(server.stderr()).not.toMatch(new RegExp(`${former}|${next}|tooshort`));
  }, 60_000);

  it("serve: 2 for credentials that come alone, and beyond loopback without any", async () => {
    const where = folder(ROUTES);
    const alone = await cli("serve", "--config", where, "--api-cert", "x").done;
    expect([alone.code, alone.stderr]).toEqual([2, expect.stringContaining("TM_USAGE")]);
    const open = await cli("serve", "--config", where, "--api", "0.0.0.0:0").done;
    expect([open.code, open.stderr]).toEqual([2, expect.stringContaining("TM_API_UNPROTECTED")]);
  });

  it("serve: says what is wrong, is not ready, and becomes ready when the file is corrected", async () => {
    const server = cli("serve", "--config", folder(ROUTES.replace("kind: Gateway", "kind: Gatway")));
    await waitFor(() => server.stderr().includes("TM_CONFIG_UNKNOWN_KIND"), { timeoutMs: 10_000, what: "the error" });
    expect(server.stdout()).toBe("");
    writeFileSync(join(dir, "a.yaml"), ROUTES);
    await waitFor(() => server.stdout().startsWith("ready "), { timeoutMs: 10_000, what: "the ready line" });
  });

  it("serve: 2 when the address is taken", async () => {
    const first = cli("serve", "--config", folder(ROUTES));
    await waitFor(() => first.stdout().includes("\n"), { timeoutMs: 10_000, what: "ready line" });
    const { xds } = JSON.parse(first.stdout().slice("ready ".length)) as { xds: string };
    const second = await cli("serve", "--config", dir, "--xds", xds).done;
    expect(second.code).toBe(2);
    expect(second.stderr).toContain(`cannot listen on ${xds}`);
  });
});
