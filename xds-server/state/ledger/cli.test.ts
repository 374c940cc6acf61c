import { type ChildProcess, spawn } from "node:child_process";
import { copyFileSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { waitFor } from "../../../envoy/harness/index.ts";
import { shouldRateLimit } from "../../../test/fixtures/rate-limit-call.ts";
import { RedisServer, redisBinary } from "../../../test/fixtures/redis-server.ts";

/** `tokenmesh ledger` as a process of its own. It is compiled first, because Node 20 does not run TypeScript. */

const binary = redisBinary();
const root = fileURLToPath(new URL("../../..", import.meta.url));
const out = mkdtempSync(join(root, "node_modules", ".ledger-cli-test-"));
const main = join(out, "xds-server", "main.js");

const CONFIG = `
domains:
  - name: llm
    descriptors:
      - {name: tenant, entries: [tenant, model], limits: [{amount: 1000, per: month, timeZone: Europe/Berlin}]}
  - {name: tokenmesh, override: true}
`;

interface Result {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

const started: ChildProcess[] = [];

function run(command: string, args: readonly string[], env: Readonly<Record<string, string>> = {}) {
  const child = spawn(command, args, { cwd: root, stdio: ["ignore", "pipe", "pipe"], env: { ...process.env, ...env } });
  started.push(child);
  const text = { stdout: "", stderr: "" };
  for (const name of ["stdout", "stderr"] as const) {
    child[name].setEncoding("utf8").on("data", (chunk: string) => {
      text[name] += chunk;
    });
  }
  const done = new Promise<Result>((resolve) => child.on("close", (code) => resolve({ code, ...text })));
  return { process: child, done, text };
}

describe("tokenmesh ledger", () => {
  let dir: string;
  let config: string;
  beforeAll(async () => {
    const tsc = join(root, "node_modules", ".bin", "tsc");
    const { code, stdout } = await run(tsc, ["-p", "tsconfig.build.json", "--outDir", out, "--noCheck"]).done;
    if (code !== 0) throw new Error(stdout);
    const folder = fileURLToPath(new URL(".", import.meta.url));
    mkdirSync(join(out, "xds-server/state/ledger"), { recursive: true });
    for (const name of readdirSync(folder).filter((each) => each.endsWith(".lua"))) {
      copyFileSync(join(folder, name), join(out, "xds-server/state/ledger", name));
    }
    dir = mkdtempSync(join(tmpdir(), "tokenmesh-ledger-"));
    config = join(dir, "ledger.yaml");
  }, 60_000);
  afterAll(() => {
    rmSync(out, { recursive: true, force: true });
    rmSync(dir, { recursive: true, force: true });
  });
  afterEach(() => {
    for (const child of started.splice(0)) child.kill("SIGKILL");
  });

  const ledger = (args: readonly string[], env: Readonly<Record<string, string>> = {}) =>
    run(process.execPath, [main, "ledger", ...args], env);

  async function serve(args: readonly string[] = [], env: Readonly<Record<string, string>> = {}) {
    writeFileSync(config, CONFIG);
    const server = ledger(["serve", "--config", config, ...args], env);
    await waitFor(() => server.text.stdout.includes("\n"), { what: `the ready line (${server.text.stderr})` });
    const ready: unknown = JSON.parse(/^ready (\{.*\})\n$/.exec(server.text.stdout)?.[1] ?? "{}");
    return { server, ...(ready as { admin: string; grpc: string }) };
  }

  const check = async (env: Readonly<Record<string, string>>, args: readonly string[]) => {
    const { code, stdout, stderr } = await ledger(args, env).done;
    expect(stderr).toBe("");
    expect(code).toBe(0);
    return stdout;
  };

  it("serves, shows and changes budgets, writes the audit log, reloads on SIGHUP and ends on SIGTERM", async () => {
    const audit = join(dir, "audit.jsonl");
    const { server, admin } = await serve(["--audit-log", audit], { TOKENMESH_LEDGER_TOKEN: "t" });
    const env = { TOKENMESH_LEDGER_API: admin, TOKENMESH_LEDGER_TOKEN: "t" };
    const budget = ["llm", "tenant=acme", "model=m"];
    expect(await check(env, ["set", ...budget, "--used", "400"])).toMatch(
      /^llm \/ tenant: tenant=acme model=m\nper +amount +used +remaining +resets at\nmonth \(Europe\/Berlin\) +1000 +400 +600 +20\S+Z\n$/,
    );
    await check(env, ["add", ...budget, "--amount", "150", "--per", "month"]);
    expect(JSON.parse(await check(env, ["show", ...budget, "--json"]))).toMatchObject({
      limits: [{ used: 250, remaining: 750 }],
    });
    expect(await check(env, ["show", "llm"])).toBe("tenant=acme model=m\n");
    await check(env, ["reset", ...budget]);
    expect(await check(env, ["usage", "llm", "--by", "model"])).toBe("model  hits  requests\n");
    const lines = readFileSync(audit, "utf8")
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line) as Record<string, unknown>);
    expect(lines).toMatchObject([
      { change: { action: "set", used: 400 }, before: { limits: [{ used: 0 }] }, after: { limits: [{ used: 400 }] } },
      { change: { action: "add", amount: 150 }, after: { limits: [{ used: 250 }] } },
      { change: { action: "reset" }, before: { limits: [{ used: 250 }] }, after: { limits: [{ used: 0 }] } },
    ]);
    expect(lines[0]).toMatchObject({
      who: expect.stringMatching(/.+/),
      from: "127.0.0.1",
      time: expect.stringMatching(/Z$/),
    });

    writeFileSync(config, CONFIG.replace("amount: 1000", "amount: 7"));
    server.process.kill("SIGHUP");
    await waitFor(() => server.text.stderr.includes("configuration reloaded"), { what: "the reload" });
    expect(await check(env, ["show", ...budget, "--json"])).toContain('"amount": 7');
    writeFileSync(config, "domains: 5");
    server.process.kill("SIGHUP");
    await waitFor(() => server.text.stderr.includes("configuration kept"), { what: "the refusal" });
    expect(await check(env, ["show", ...budget, "--json"])).toContain('"amount": 7');
    server.process.kill("SIGTERM");
    expect((await server.done).code).toBe(0);
  }, 60_000);

  it("shows and changes budgets whose limits come with calls", async () => {
    const audit = join(dir, "override-audit.jsonl");
    const { admin, grpc } = await serve(["--audit-log", audit]);
    const env = { TOKENMESH_LEDGER_API: admin };
    const call = (hits: number) => {
      const descriptor = (limit: string, unit: number) => ({
        entries: Object.entries({ rule: "team", limit, "x-team": "acme", "tokenmesh.model": "gpt-5" }),
        hits,
        limit: { amount: 1_000, unit },
      });
      const descriptors = [descriptor("tokens/month", 5), descriptor("tokens/day", 4)];
      return shouldRateLimit(grpc, { domain: "tokenmesh", descriptors });
    };
    expect(await call(600)).toMatchObject({ code: 1 });
    const budget = ["tokenmesh", "rule=team", "limit=tokens/month", "x-team=acme"];
    const row = (amount: string, used: number, remaining: string) =>
      new RegExp(
        `^tokenmesh / override: rule=team limit=tokens/month x-team=acme\nper +amount .*\nmonth override +${amount} +${used} +${remaining} +20\\S+Z\n$`,
      );
    expect((await check(env, ["show", "tokenmesh"])).split("\n").sort()).toEqual([
      "",
      "rule=team limit=tokens/day x-team=acme",
      "rule=team limit=tokens/month x-team=acme",
    ]);
    expect(await check(env, ["show", ...budget])).toMatch(row("1000", 600, "400"));
    expect(await check(env, ["set", ...budget, "--used", "300"])).toMatch(row("1000", 300, "700"));
    expect(await check(env, ["add", ...budget, "--amount", "50"])).toMatch(row("1000", 250, "750"));
    expect(await check(env, ["reset", ...budget, "--per", "month"])).toMatch(row("1000", 0, "1000"));
    const fresh = budget.map((part) => part.replace("acme", "fresh"));
    const missing = await ledger(["show", ...fresh], env).done;
    expect([missing.code, missing.stderr]).toEqual([2, expect.stringMatching(/no_such_budget: nothing is kept/)]);
    expect(await check(env, ["set", ...fresh, "--used", "5", "--per", "month"])).toMatch(
      /\nmonth override +- +5 +- +20/,
    );
    expect(await check(env, ["usage", "tokenmesh", "limit=tokens/day", "--by", "model"])).toMatch(
      /^model +hits +requests\ngpt-5 +600 +1\n$/,
    );
    const lines = readFileSync(audit, "utf8").trim().split("\n");
    const actions = lines.map((line) => (JSON.parse(line) as { change: { action: string } }).change.action);
    expect(actions).toEqual(["set", "add", "reset", "set"]);
  }, 60_000);

  it("says what is wrong: 1 for the configuration, 2 for the rest", async () => {
    writeFileSync(config, CONFIG.replace("per: month", "per: moth"));
    const wrong = await ledger(["serve", "--config", config]).done;
    expect([wrong.code, wrong.stdout]).toEqual([1, ""]);
    expect(wrong.stderr).toMatch(/ledger\.yaml:5:\d+: TM_CONFIG_INVALID_VALUE .*Did you mean month/);
    const { admin } = await serve([], { TOKENMESH_LEDGER_TOKEN: "t" });
    const budget = ["llm", "tenant=acme", "model=m"];
    const error = async (args: readonly string[]) => {
      const { code, stderr } = await ledger(args).done;
      return [code, stderr];
    };
    expect(await error(["show", ...budget, "--api", admin])).toEqual([
      2,
      expect.stringMatching(/unauthorized: .*TOKENMESH_LEDGER_TOKEN/),
    ]);
    expect(await error(["show", ...budget, "--api", "127.0.0.1:1"])).toEqual([
      2,
      expect.stringMatching(/cannot be reached/),
    ]);
    expect(await error(["show", ...budget])).toEqual([2, expect.stringMatching(/--api/)]);
    expect(await error(["set", ...budget, "--api", admin, "--used", "-1"])).toEqual([
      2,
      expect.stringMatching(/not a whole number/),
    ]);
  }, 60_000);

  it.skipIf(!("path" in binary))(
    "serves from Redis",
    async () => {
      const redis = await RedisServer.start();
      try {
        const { admin } = await serve([], { TOKENMESH_REDIS_URL: redis.url });
        await waitFor(async () => (await fetch(`${admin}/ready`)).ok, { what: "Redis" });
        const env = { TOKENMESH_LEDGER_API: admin };
        await check(env, ["set", "llm", "tenant=a", "model=m", "--used", "3"]);
        expect(await check(env, ["show", "llm"])).toBe("tenant=a model=m\n");
      } finally {
        for (const child of started.splice(0)) child.kill("SIGKILL");
        await redis.stop();
      }
    },
    60_000,
  );
});
