// A Python environment in .tools/venv with the official client, for the end-to-end tests. It is never needed to run the product: when it cannot be had,
// set-up goes on and those tests are skipped with the reason.
import { existsSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { failedBefore, remember } from "./failures.mjs";
import { venv, venvStamp } from "./places.mjs";
import { run, step, tail } from "./progress.mjs";
import { python } from "./python.mjs";

const requirements = ["openai==3.52.0"];
const wanted = requirements.join("\n");
const timeoutMs = 300_000;

export async function installPythonClients() {
  if (existsSync(venvStamp) && readFileSync(venvStamp, "utf8") === wanted) return;
  const { command, reason: absent } = await python(); // quick to look for, so never taken from memory
  const before = absent === undefined ? failedBefore("python-clients", wanted) : undefined;
  const reason = absent ?? before ?? (await step("Python clients (.tools/venv)", () => install(command)));
  if (reason === undefined) return;
  console.log(`setup: no Python clients, their tests will be skipped: ${reason}`);
  if (before !== undefined) console.log("setup: (failed before; `node scripts/setup.mjs --test --retry` tries again)");
  else remember("python-clients", absent === undefined ? wanted : "", reason);
}

/** Resolves to the reason when it does not work. */
async function install(command) {
  rmSync(venv, { recursive: true, force: true });
  const created = await run(command, ["-m", "venv", venv], { timeoutMs });
  if (created.code !== 0) return `python -m venv failed (Debian: apt install python3-venv): ${tail(created.output, 3)}`;
  const pip = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", ...requirements];
  const installed = await run(join(venv, "bin/python"), pip, { timeoutMs });
  if (installed.code !== 0) return `pip install ${requirements.join(" ")} failed: ${tail(installed.output, 3)}`;
  writeFileSync(venvStamp, wanted);
  return undefined;
}
