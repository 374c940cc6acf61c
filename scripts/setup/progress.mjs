// One line per step that does something, and child processes whose output shows only when they fail.
import { spawn } from "node:child_process";

/** A failure that the reader can do something about: printed as it is, without a stack. */
export class Trouble extends Error {}

/** Runs `action` between a "..." line and a line with its duration. */
export async function step(name, action) {
  const began = performance.now();
  console.log(`setup: ${name} ...`);
  const value = await action();
  console.log(`setup: ${name}: done in ${((performance.now() - began) / 1000).toFixed(1)} s`);
  return value;
}

/**
 * Runs a command; resolves to { code, signal, output } with stdout and stderr together. `code` is null when it could not be started (`missing`) or was
 * killed. `signal` ends it early; `onLine` sees each line as it comes.
 */
export function run(command, args, { cwd, env, timeoutMs, signal, onLine } = {}) {
  return new Promise((resolve) => {
    const child = spawn(command, args, { cwd, env, stdio: ["ignore", "pipe", "pipe"], detached: true });
    let output = "";
    let pending = "";
    const kill = () => {
      try {
        process.kill(-child.pid, "SIGKILL");
      } catch {
        // ended by itself
      }
    };
    const timer = timeoutMs === undefined ? undefined : setTimeout(kill, timeoutMs);
    const onData = (chunk) => {
      output = (output + chunk).slice(-100_000);
      if (onLine === undefined) return;
      const lines = (pending + chunk).split("\n");
      pending = lines.pop();
      lines.forEach(onLine);
    };
    process.once("exit", kill);
    signal?.addEventListener("abort", kill, { once: true });
    child.stdout.setEncoding("utf8").on("data", onData);
    child.stderr.setEncoding("utf8").on("data", onData);
    const finish = (result) => {
      clearTimeout(timer);
      process.removeListener("exit", kill);
      resolve({ missing: false, code: null, signal: null, output, ...result });
    };
    child.on("error", (error) => finish({ missing: error.code === "ENOENT", output: error.message }));
    child.on("close", (code, signal) => finish({ code, signal }));
  });
}

/** The last lines of a command's output, for an error message. */
export const tail = (output, lines = 40) => output.trim().split("\n").slice(-lines).join("\n");
