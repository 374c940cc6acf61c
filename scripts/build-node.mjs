// Compiles the TypeScript of xds-server, protos and envoy to build/node. Idempotent: skips when nothing changed.
import { spawnSync } from "node:child_process";
import { chmodSync, cpSync, existsSync, rmSync } from "node:fs";
import { isFresh, markBuilt, root } from "./lib/stamp.mjs";

const inputs = ["xds-server", "protos", "envoy", "tsconfig.json", "tsconfig.build.json", "package-lock.json"];
if (!process.argv.includes("--force") && existsSync(`${root}/build/node`) && isFresh("node", inputs)) process.exit(0);
console.log("build: TypeScript -> build/node");
rmSync(`${root}/build/node`, { recursive: true, force: true });
const tsc = spawnSync("node_modules/.bin/tsc", ["-p", "tsconfig.build.json"], { cwd: root, stdio: "inherit" });
if (tsc.status !== 0) process.exit(tsc.status ?? 1);
// Data files that the code reads beside itself.
for (const dir of ["xds-server", "protos", "envoy"]) {
  cpSync(`${root}/${dir}`, `${root}/build/node/${dir}`, {
    recursive: true,
    filter: (path) => !path.endsWith(".ts") && !path.endsWith("/golden"),
  });
}
chmodSync(`${root}/build/node/xds-server/main.js`, 0o755);
markBuilt("node", inputs);
