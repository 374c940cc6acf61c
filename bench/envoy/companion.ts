/**
 * A process of the benchmark beside the Envoys: the upstream, or an arm's helper. It prints one line of JSON when it is ready and ends when its
 * standard input does, so it cannot outlive this process whatever happens to it.
 */
import { spawn } from "node:child_process";
import { createInterface } from "node:readline";

export interface Companion {
  readonly pid: number;
  /** The JSON object that it printed. */
  readonly ready: Readonly<Record<string, string>>;
  stop(): Promise<void>;
}

const startTimeoutMs = 10_000;

export async function startCompanion(command: string, args: readonly string[]): Promise<Companion> {
  const child = spawn(command, args, { stdio: ["pipe", "pipe", "inherit"] });
  const exited = new Promise<void>((resolve) => {
    child.once("error", () => resolve());
    child.once("exit", () => resolve());
  });
  const stop = async (): Promise<void> => {
    child.stdin.destroy();
    const timer = setTimeout(() => child.kill("SIGKILL"), 2_000);
    await exited;
    clearTimeout(timer);
  };
  try {
    const line = await new Promise<string>((resolve, reject) => {
      const timer = setTimeout(
        () => reject(new Error(`${command} was not ready in ${startTimeoutMs} ms`)),
        startTimeoutMs,
      );
      createInterface(child.stdout).once("line", (text) => {
        clearTimeout(timer);
        resolve(text);
      });
      child.once("error", reject);
      child.once("exit", (code) => reject(new Error(`${command} ended with code ${code} before it was ready`)));
    });
    if (child.pid === undefined) throw new Error(`${command} has no process id`);
    return { pid: child.pid, ready: JSON.parse(line) as Record<string, string>, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}
