// A program from a Debian package, without root and without a trace outside of its folder: apt downloads the package and what it needs with package
// lists of its own, dpkg unpacks it, and a start script tells it where its libraries are. Nothing is installed, no daemon is started.
import { mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { run, tail } from "./progress.mjs";

const timeoutMs = 120_000;

/**
 * Leaves `folder`/`program` ready to be started; resolves to the reason when it does not work. `folderOf` is where the
 * package has the program. `backportsOf` is a Debian release whose backports have the package while its main archive has not: on that release they are
 * asked, on any other one what the machine's own sources name.
 */
export async function unpackPackage({ folder, ...wanted }) {
  const staging = `${folder}.part`;
  rmSync(staging, { recursive: true, force: true });
  try {
    return await unpack({ folder, staging, ...wanted });
  } finally {
    rmSync(staging, { recursive: true, force: true });
  }
}

async function unpack({ name, program, folder, staging, backportsOf, folderOf = "usr/bin" }) {
  for (const part of ["lists/partial", "cache/archives/partial", "root"])
    mkdirSync(join(staging, part), { recursive: true });
  const backports = backportsOf !== undefined && isDebian(backportsOf);
  const settings = {
    "Dir::State::lists": join(staging, "lists"),
    "Dir::Cache": join(staging, "cache"),
    "Debug::NoLocking": "1",
    ...(backports ? backportSources(staging, backportsOf) : {}),
  };
  const apt = Object.entries(settings).flatMap(([key, value]) => ["-o", `${key}=${value}`]);
  const updated = await run("apt-get", [...apt, "update"], { timeoutMs });
  if (updated.missing) return "install it (this machine has no apt-get to download it with)";
  if (updated.code !== 0) return `apt-get update failed: ${tail(updated.output, 3)}`;
  const install = ["--yes", "--no-install-recommends", "--download-only", "install", name];
  const release = backports ? ["--target-release", `${backportsOf}-backports`] : [];
  const downloaded = await run("apt-get", [...apt, ...release, ...install], { timeoutMs });
  if (downloaded.code !== 0) return `apt-get could not download ${name}: ${tail(downloaded.output, 3)}`;
  const archives = join(staging, "cache/archives");
  for (const file of readdirSync(archives).filter((each) => each.endsWith(".deb"))) {
    const unpacked = await run("dpkg", ["-x", join(archives, file), join(staging, "root")]);
    if (unpacked.code !== 0) return `dpkg -x ${file} failed: ${tail(unpacked.output, 3)}`;
  }
  return finish(staging, folder, program, folderOf);
}

function isDebian(codename) {
  try {
    const release = readFileSync("/etc/os-release", "utf8");
    return /^ID=debian$/m.test(release) && new RegExp(`^VERSION_CODENAME=${codename}$`, "m").test(release);
  } catch {
    return false;
  }
}

/** Sources in place of the machine's, which may name the same archives in another spelling. */
function backportSources(staging, codename) {
  const file = join(staging, "sources.list");
  const archive = "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] http://deb.debian.org/debian";
  writeFileSync(file, `${archive} ${codename} main\n${archive} ${codename}-backports main\n`);
  return { "Dir::Etc::SourceList": file, "Dir::Etc::SourceParts": "/dev/null" };
}

/** A start script with the libraries' folder, put in place only when the program runs. */
async function finish(staging, folder, program, folderOf) {
  const { output: triplet, code } = await run("dpkg-architecture", ["-qDEB_HOST_MULTIARCH"]);
  const libraries = code === 0 ? [triplet.trim()] : readdirSync(join(staging, "root/usr/lib"));
  const script = [
    "#!/bin/sh",
    `root=$(dirname "$(readlink -f "$0")")/root`,
    `export LD_LIBRARY_PATH="${libraries.map((name) => `$root/usr/lib/${name}`).join(":")}"`,
    `exec "$root/${folderOf}/${program}" "$@"`,
    "",
  ].join("\n");
  writeFileSync(join(staging, program), script, { mode: 0o755 });
  const started = await run(join(staging, program), ["--version"]);
  if (started.code !== 0) return `the downloaded ${program} does not run: ${tail(started.output, 3)}`;
  for (const part of ["lists", "cache", "sources.list"]) rmSync(join(staging, part), { recursive: true, force: true });
  rmSync(folder, { recursive: true, force: true });
  renameSync(staging, folder);
  return undefined;
}
