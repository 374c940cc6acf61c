/**
 * `npm start`: starts the stack, prints `ready {...}`, a curl to try, and one status line per second until Ctrl-C.
 * Exit codes: 0 after SIGINT or SIGTERM, 1 when a part could not start or ended by itself.
 */
import { Command, InvalidArgumentError, Option } from "commander";
import { TIMING_PROFILES, type TimingProfile } from "../replica/index.ts";
import { type Stack, sampleBody, startStack } from "./stack.ts";
import { type Sample, statusBetween, statusLine } from "./status.ts";

interface Flags {
  port: number;
  json?: true;
  timing: TimingProfile;
}

/** Longer than the slowest part may take to stop (Envoy is killed after 5 s). */
const STOP_DEADLINE_MS = 9_000;
const STATUS_INTERVAL_MS = 1_000;

const flags = new Command("npm start --")
  .description("model replicas, xDS server and Envoy on this machine")
  .option("--port <port>", "port of the proxy on 127.0.0.1; 0 takes a free one", parsePort, 0)
  .option("--json", "status lines as JSON objects")
  .addOption(
    new Option("--timing <profile>", "speed of the replicas").choices(Object.keys(TIMING_PROFILES)).default("h100"),
  )
  .parse()
  .opts<Flags>();

const stopping = new AbortController();
// npm passes Ctrl-C on as well, so a second signal is not a second wish.
for (const signal of ["SIGINT", "SIGTERM"] as const) process.on(signal, () => stop());
process.exitCode = await run();
// Everything is stopped; a part that forgot a timer must not keep the process alive.
process.exit();

async function run(): Promise<number> {
  let stack: Stack;
  try {
    stack = await startStack({ port: flags.port, timing: flags.timing, signal: stopping.signal });
  } catch (error) {
    if (stopping.signal.aborted) return 0;
    console.error(`npm start: ${error instanceof Error ? error.message : String(error)}`);
    return 1;
  }
  console.log(`ready ${JSON.stringify(stack.ready)}`);
  if (flags.json === undefined) printHelp(stack);
  const failure = await Promise.race([showStatus(stack), stack.failed]);
  if (failure !== undefined) console.error(`npm start: ${failure}`);
  try {
    await stack.close();
    return failure === undefined ? 0 : 1;
  } catch (error) {
    if (failure === undefined) console.error(`npm start: ${error instanceof Error ? error.message : String(error)}`);
    return 1;
  }
}

function stop(): void {
  if (stopping.signal.aborted) return;
  stopping.abort();
  // Envoy ends with this process in any case (see envoy/harness/launch.ts).
  setTimeout(() => process.exit(1), STOP_DEADLINE_MS).unref();
}

function printHelp({ ready, configDir }: Stack): void {
  console.log(
    `try:    curl -s ${ready.proxy}/v1/chat/completions -H 'content-type: application/json' -d '${sampleBody()}'`,
  );
  console.log(`config: ${configDir} (edit while it runs)`);
  console.log("stop:   Ctrl-C");
}

/** Prints until the stop signal; resolves with undefined then. */
async function showStatus(stack: Stack): Promise<undefined> {
  let before: Sample | undefined;
  while (!stopping.signal.aborted) {
    const after = await stack.sample().catch(() => undefined); // the admin interface may be busy; the next second tells
    if (before !== undefined && after !== undefined) print(before, after);
    before = after ?? before;
    await pause(STATUS_INTERVAL_MS);
  }
  if (isLive()) process.stdout.write("\n");
  return undefined;
}

function print(before: Sample, after: Sample): void {
  const status = statusBetween(before, after);
  if (flags.json) console.log(JSON.stringify(status));
  else if (isLive()) process.stdout.write(`\r\x1b[2K${statusLine(status, process.stdout.columns || undefined)}`);
  else console.log(statusLine(status));
}

/** On a terminal the line is written over itself. */
function isLive(): boolean {
  return process.stdout.isTTY && flags.json === undefined;
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(done, ms);
    function done(): void {
      clearTimeout(timer);
      stopping.signal.removeEventListener("abort", done);
      resolve();
    }
    stopping.signal.addEventListener("abort", done);
  });
}

function parsePort(text: string): number {
  const port = Number(text);
  if (!Number.isInteger(port) || port < 0 || port > 65_535) throw new InvalidArgumentError("expected 0..65535");
  return port;
}
