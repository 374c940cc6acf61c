// npm run test:envoy                   the tests on real Envoy, on the oldest and the newest version
// npm run test:envoy -- --all          on every version of envoy/versions.json
// npm run test:envoy -- [--all] ...    further arguments go to vitest: a path, -t "name"
import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { root } from "./lib/stamp.mjs";
import { supportedVersions } from "./setup/versions.mjs";

const args = process.argv.slice(2);
const all = args.includes("--all");
const env = { ...process.env };
if (all) {
  const setup = spawnSync(process.execPath, [join(root, "scripts/setup.mjs"), "--all"], { stdio: "inherit" });
  if (setup.status !== 0) process.exit(setup.status ?? 1);
  env.TOKENMESH_ENVOY_VERSIONS = supportedVersions.join(",");
}
const vitest = [join(root, "node_modules/vitest/vitest.mjs"), "run", "--project", "envoy"];
const { status } = spawnSync(process.execPath, [...vitest, ...args.filter((arg) => arg !== "--all")], {
  cwd: root,
  env,
  stdio: "inherit",
});
process.exit(status ?? 1);
