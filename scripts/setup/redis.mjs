// A redis-server for the tests of the token ledger. One on PATH (or REDIS_SERVER) is used as it is. Otherwise, on Debian and Ubuntu, apt downloads the
// package and what it needs into .tools/redis, with package lists of its own: no root, nothing installed, no daemon started. The product never needs it:
// when it cannot be had, set-up goes on and those tests are skipped with the reason.
import { existsSync, mkdirSync, readdirSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { failedBefore, remember } from "./failures.mjs";
import { redisDir, redisServer } from "./places.mjs";
import { run, step, tail } from "./progress.mjs";

const timeoutMs = 120_000;

export async function installRedis() {
  if (existsSync(redisServer) || (await runs(process.env.REDIS_SERVER || "redis-server"))) return;
  const before = failedBefore("redis", "");
  const reason = before ?? (await step("redis-server (.tools/redis)", download));
  if (reason === undefined) return;
  console.log(`setup: no redis-server, its tests will be skipped: ${reason}`);
  if (before !== undefined) console.log("setup: (failed before; `node scripts/setup.mjs --test --retry` tries again)");
  else remember("redis", "", reason);
}

const runs = async (command) => (await run(command, ["--version"])).code === 0;

/** Resolves to the reason when it does not work. */
async function download() {
  const staging = `${redisDir}.part`;
  rmSync(staging, { recursive: true, force: true });
  for (const folder of ["lists/partial", "cache/archives/partial", "root"])
    mkdirSync(join(staging, folder), { recursive: true });
  const own = [
    "-o",
    `Dir::State::lists=${staging}/lists`,
    "-o",
    `Dir::Cache=${staging}/cache`,
    "-o",
    "Debug::NoLocking=1",
  ];
  const updated = await run("apt-get", [...own, "update"], { timeoutMs });
  if (updated.missing) return "install it (this machine has no apt-get to download it with)";
  if (updated.code !== 0) return `apt-get update failed: ${tail(updated.output, 3)}`;
  const install = [...own, "--yes", "--no-install-recommends", "--download-only", "install", "redis-server"];
  const downloaded = await run("apt-get", install, { timeoutMs });
  if (downloaded.code !== 0) return `apt-get could not download redis-server: ${tail(downloaded.output, 3)}`;
  const archives = join(staging, "cache/archives");
  for (const name of readdirSync(archives).filter((file) => file.endsWith(".deb"))) {
    const unpacked = await run("dpkg", ["-x", join(archives, name), join(staging, "root")]);
    if (unpacked.code !== 0) return `dpkg -x ${name} failed: ${tail(unpacked.output, 3)}`;
  }
  return finish(staging);
}

/** A start script with the libraries' folder, put in place only when the server runs. */
async function finish(staging) {
  const { output: triplet, code } = await run("dpkg-architecture", ["-qDEB_HOST_MULTIARCH"]);
  const libraries = code === 0 ? [triplet.trim()] : readdirSync(join(staging, "root/usr/lib"));
  const script = [
    "#!/bin/sh",
    `root=$(dirname "$(readlink -f "$0")")/root`,
    `export LD_LIBRARY_PATH="${libraries.map((name) => `$root/usr/lib/${name}`).join(":")}"`,
    `exec "$root/usr/bin/redis-server" "$@"`,
    "",
  ].join("\n");
  writeFileSync(join(staging, "redis-server"), script, { mode: 0o755 });
  const started = await run(join(staging, "redis-server"), ["--version"]);
  if (started.code !== 0) return `the downloaded redis-server does not run: ${tail(started.output, 3)}`;
  for (const folder of ["lists", "cache"]) rmSync(join(staging, folder), { recursive: true, force: true });
  rmSync(redisDir, { recursive: true, force: true });
  renameSync(staging, redisDir);
  return undefined;
}
