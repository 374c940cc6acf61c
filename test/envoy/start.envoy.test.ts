/** `npm start` as a user runs it: the ready line, the printed curl, the status lines, Ctrl-C, and failures that leave nothing behind. */
import { type ChildProcess, execFile, spawn, spawnSync } from "node:child_process";
import { mkdtemp, readdir, rm } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { beforeAll, expect, onTestFinished, test } from "vitest";
import { projectRoot, waitFor } from "../../envoy/harness/index.ts";

interface Ready {
  readonly proxy: string;
  readonly envoyAdmin: string;
  readonly xds: string;
  readonly api: string;
  readonly models: readonly string[];
}

interface Started {
  readonly child: ChildProcess;
  stdout(): string;
  stderr(): string;
  readonly exit: Promise<{ code: number | null; signal: NodeJS.Signals | null }>;
  /** Own TMPDIR of the child: whatever it leaves there was not cleaned up. */
  readonly tmp: string;
}

beforeAll(() => {
  const build = spawnSync("node", ["scripts/build-node.mjs"], { cwd: projectRoot(), encoding: "utf8" });
  if (build.status !== 0) throw new Error(build.stdout + build.stderr);
}, 120_000);

async function start(command: readonly string[], env: NodeJS.ProcessEnv = {}): Promise<Started> {
  const tmp = await mkdtemp(join(tmpdir(), "tokenmesh-start-"));
  const [program = "", ...args] = command;
  // A process group of its own, so that a signal can reach all of it, as Ctrl-C in a terminal does.
  const child = spawn(program, args, {
    cwd: projectRoot(),
    env: { ...process.env, ...env, TMPDIR: tmp },
    detached: true,
  });
  let stdout = "";
  let stderr = "";
  child.stdout?.setEncoding("utf8").on("data", (text: string) => {
    stdout += text;
  });
  child.stderr?.setEncoding("utf8").on("data", (text: string) => {
    stderr += text;
  });
  const exit = new Promise<{ code: number | null; signal: NodeJS.Signals | null }>((resolve) => {
    child.once("close", (code, signal) => resolve({ code, signal }));
  });
  onTestFinished(async () => {
    signalGroup(child, "SIGKILL");
    await exit;
    await rm(tmp, { recursive: true, force: true });
  });
  return { child, stdout: () => stdout, stderr: () => stderr, exit, tmp };
}

function signalGroup(child: ChildProcess, signal: NodeJS.Signals): void {
  try {
    process.kill(-(child.pid ?? 0), signal);
  } catch {
    // has ended
  }
}

async function readyLine({ stdout, stderr, child }: Started): Promise<Ready> {
  const line = await waitFor(
    () => {
      if (child.exitCode !== null) throw new Error(`exited with ${child.exitCode}: ${stderr()}`);
      return /^ready (\{.*\})$/m.exec(stdout())?.[1];
    },
    { timeoutMs: 40_000, what: "the ready line" },
  );
  return JSON.parse(line) as Ready;
}

async function refused(url: string): Promise<boolean> {
  return fetch(url).then(
    () => false,
    () => true,
  );
}

const MAIN = ["node", "build/node/envoy/stack/main.js"];

test("npm start: ready line, printed curl, live status; Ctrl-C ends it with code 0 and leaves nothing", async () => {
  const stack = await start(["npm", "start", "--ignore-scripts", "--", "--timing", "instant"]);
  const ready = await readyLine(stack);
  expect(Object.keys(ready)).toEqual(["proxy", "envoyAdmin", "xds", "api", "models"]);
  for (const url of [ready.proxy, ready.envoyAdmin, ready.api]) expect(url).toMatch(/^http:\/\/127\.0\.0\.1:\d+$/);
  expect(ready.xds).toMatch(/^127\.0\.0\.1:\d+$/);

  const curl = await waitFor(() => /(curl .*)$/m.exec(stack.stdout())?.[1], { what: "the curl line" });
  const { stdout } = await promisify(execFile)("sh", ["-c", curl]);
  expect(JSON.parse(stdout)).toMatchObject({ object: "chat.completion", model: "gpt-4o-mini" });
  // The same once more is not asked again, and takes nothing from a budget.
  const { stdout: again } = await promisify(execFile)("sh", ["-c", `${curl} -i`]);
  expect(again).toMatch(/^x-llm-cache: hit\r$/m);
  expect(again.endsWith(stdout)).toBe(true);
  for (const model of ready.models) {
    const answer = await fetch(`${ready.proxy}/v1/chat/completions`, {
      method: "POST",
      body: JSON.stringify({ model, messages: [{ role: "user", content: "hi" }] }),
    });
    expect([model, answer.status]).toEqual([model, 200]);
  }
  expect((await fetch(`${ready.api}/ready`)).status).toBe(200);
  const answer = await fetch(`${ready.proxy}/v1/chat/completions`, {
    method: "POST",
    headers: { authorization: "Bearer a-client" },
    body: JSON.stringify({ model: ready.models[0], messages: [{ role: "user", content: "hi" }] }),
  });
  const { usage } = (await answer.json()) as { usage: { total_tokens: number } };
  expect(answer.headers.get("x-ratelimit-limit-tokens")).toBe("1000000");
  // Served requests show up in a status line: one from the start, the curl, and one per model; the limiter tells the client with a key apart.
  const unnamed = 2 + ready.models.length;
  const line = new RegExp(
    `^[\\d.]+ req/s \\| 0 4xx 0 5xx \\| [\\d.]+ tok/s \\| envoy \\d+ MB \\| xds synced, \\d+ ack 0 nack \\| ` +
      `admitted/refused per-address ${unnamed}/0 [1-9]\\d* tok per-key 1/0 ${usage.total_tokens} tok \\| cached/asked saved all 1/\\d+ [1-9]\\d* tok \\| .* gpt-a \\d+/\\d+ `,
    "m",
  );
  await waitFor(() => line.test(stack.stdout()), { what: "a status line" }).catch((cause: unknown) => {
    throw new Error(stack.stdout(), { cause });
  });

  const signalled = performance.now();
  signalGroup(stack.child, "SIGINT");
  expect(await stack.exit).toEqual({ code: 0, signal: null });
  expect(performance.now() - signalled).toBeLessThan(5_000);
  expect(
    stack
      .stderr()
      .replace(/^npm warn.*$/gm, "")
      .trim(),
  ).toBe("");
  for (const url of [ready.proxy, ready.envoyAdmin, ready.api, `http://${ready.xds}`])
    expect(await refused(url)).toBe(true);
  expect(await readdir(stack.tmp)).toEqual([]);
});

test("--json --port: status as objects, the chosen port, SIGTERM", async () => {
  const port = await freePort();
  const stack = await start([...MAIN, "--json", "--port", String(port), "--timing", "instant"]);
  const ready = await readyLine(stack);
  expect(ready.proxy).toBe(`http://127.0.0.1:${port}`);
  const statuses = (): Record<string, unknown>[] =>
    stack
      .stdout()
      .split("\n")
      .slice(1, -1)
      .map((text) => JSON.parse(text) as Record<string, unknown>);
  await waitFor(() => statuses().length >= 2, { what: "two status objects" });
  expect(statuses()[0]).toMatchObject({
    requestsPerSecond: expect.any(Number),
    tokensPerSecond: expect.any(Number),
    clientErrors: 0,
    serverErrors: 0,
    limits: [
      { rule: "per-address", refused: 0 },
      { rule: "per-key", admitted: 0, refused: 0, tokens: 0 },
    ],
    caches: [{ rule: "all", served: 0 }],
    replicas: ["gpt-a", "gpt-b", "claude-a", "claude-b"].map((name) => ({
      name,
      inFlight: 0,
      served: expect.any(Number),
    })),
    xds: { rejected: 0, unsettled: [], configErrors: 0 },
  });
  expect(statuses()[0]?.envoyRssBytes).toBeGreaterThan(10_000_000);
  stack.child.kill("SIGTERM");
  expect(await stack.exit).toEqual({ code: 0, signal: null });
  expect(await readdir(stack.tmp)).toEqual([]);
});

test("Ctrl-C during the start ends it too", async () => {
  const stack = await start([...MAIN]);
  await waitFor(async () => (await readdir(stack.tmp)).length > 0, { what: "the start to have begun" });
  signalGroup(stack.child, "SIGINT");
  expect(await stack.exit).toEqual({ code: 0, signal: null });
  expect(stack.stdout()).toBe("");
  expect(await readdir(stack.tmp)).toEqual([]);
});

test("a port in use: code 1, what is wrong and what to do", async () => {
  const blocker = createServer();
  await new Promise<void>((resolve) => blocker.listen(0, "127.0.0.1", resolve));
  onTestFinished(() => new Promise<void>((resolve) => void blocker.close(() => resolve())));
  const address = blocker.address();
  const port = typeof address === "object" ? address?.port : 0;
  const stack = await start([...MAIN, "--port", String(port)]);
  expect(await stack.exit).toEqual({ code: 1, signal: null });
  expect(stack.stderr()).toMatch(
    new RegExp(`port ${port} cannot be used.*\\n\\s+remedy: choose another one with --port`),
  );
  expect(await readdir(stack.tmp)).toEqual([]);
});

test("an Envoy that cannot be started: code 1, and what was started before is gone", async () => {
  const stack = await start([...MAIN], { ENVOY_PATH: "/nonexistent/envoy" });
  expect(await stack.exit).toEqual({ code: 1, signal: null });
  expect(stack.stderr()).toContain("setup.mjs");
  expect(await readdir(stack.tmp)).toEqual([]);
});

test("an Envoy that dies while the stack runs: code 1, and the rest is stopped", async () => {
  const stack = await start([...MAIN, "--json", "--timing", "instant"]);
  const ready = await readyLine(stack);
  await fetch(`${ready.envoyAdmin}/quitquitquit`, { method: "POST" });
  expect(await stack.exit).toEqual({ code: 1, signal: null });
  expect(stack.stderr()).toContain("Envoy ended");
  expect(await refused(ready.api)).toBe(true);
  expect(await readdir(stack.tmp)).toEqual([]);
});

async function freePort(): Promise<number> {
  const probe = createServer();
  await new Promise<void>((resolve) => probe.listen(0, "127.0.0.1", resolve));
  const address = probe.address();
  await new Promise<void>((resolve) => probe.close(() => resolve()));
  return typeof address === "object" && address !== null ? address.port : 0;
}
