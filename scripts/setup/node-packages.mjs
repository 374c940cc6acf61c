// npm packages and the build. npm leaves a lock file of what it installed inside node_modules, written last: that is the stamp.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { root } from "../lib/stamp.mjs";
import { run, step, Trouble, tail } from "./progress.mjs";

const packagesOf = (file) => JSON.parse(readFileSync(join(root, file), "utf8")).packages;

/** True when node_modules holds what package-lock.json asks for; packages for other platforms may be absent. */
function isInstalled() {
  let installed;
  try {
    installed = packagesOf("node_modules/.package-lock.json");
  } catch {
    return false;
  }
  const wanted = packagesOf("package-lock.json");
  delete wanted[""]; // the project itself
  for (const [path, { version, integrity, optional }] of Object.entries(wanted)) {
    const there = installed[path];
    if (there === undefined ? !optional : there.version !== version || there.integrity !== integrity) return false;
  }
  return Object.keys(installed).every((path) => path in wanted);
}

export async function installPackages() {
  if (isInstalled()) return;
  await step("npm packages (npm ci)", async () => {
    const { code, missing, output } = await run("npm", ["ci", "--no-audit", "--no-fund"], { cwd: root });
    if (missing) throw new Trouble("npm is not on PATH; it comes with Node 20 or newer (https://nodejs.org)");
    if (code !== 0) throw new Trouble(`npm ci failed:\n${tail(output)}`);
  });
}

/** Both builds skip by themselves what is fresh, and say nothing then. The tests' modules are built when they are wanted. */
export async function build({ tests }) {
  const commands = [["build-node.mjs"], ["build-filters.mjs", ...(tests ? [] : ["--product"])]];
  const results = await Promise.all(
    commands.map(([script, ...flags]) => run(process.execPath, [join(root, "scripts", script), ...flags])),
  );
  const failed = [];
  results.forEach(({ code, output }, index) => {
    if (code !== 0) failed.push(`scripts/${commands[index][0]} failed:\n${tail(output, 60)}`);
    else if (output !== "") process.stdout.write(output);
  });
  if (failed.length > 0) throw new Trouble(failed.join("\n"));
}
