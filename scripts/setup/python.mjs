// Looks for a Python 3 with pip, once.
import { run } from "./progress.mjs";

let found;

/** { command } or { reason }. */
export function python() {
  found ??= look();
  return found;
}

async function look() {
  for (const command of ["python3", "python"]) {
    const { code } = await run(command, ["-c", "import sys; sys.exit(sys.version_info < (3, 9))"]);
    if (code !== 0) continue;
    if ((await run(command, ["-m", "pip", "--version"])).code === 0) return { command };
    return { reason: `${command} has no pip; install it (Debian: apt install python3-pip python3-venv)` };
  }
  return {
    reason:
      "no Python 3.9 or newer on PATH; install it (https://python.org, Debian: apt install python3-pip python3-venv)",
  };
}
