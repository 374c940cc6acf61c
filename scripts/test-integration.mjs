// npm run test:integration                 builds the real servers once (the first run takes up to an hour), then the behaviour suites against them
// npm run test:integration -- --prepare    only builds them
// npm run test:integration -- consul dns   only what these parts need; any of the names below
// npm run test:integration -- ... -- ...   what comes after a further -- goes to vitest: a path, -t "name"
import { spawnSync } from "node:child_process";
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { cacheFolder } from "./integration/places.mjs";
import { root } from "./lib/stamp.mjs";
import { Trouble } from "./setup/progress.mjs";

/** Parts, and the tests that need them: `X.integration.test.ts` below these paths. */
const parts = {
  dns: { script: "dnsmasq", paths: ["discovery/dns"] },
  consul: { script: "consul", paths: ["consul"] },
  eureka: { script: "eureka", paths: ["eureka"] },
  kubernetes: { script: "kubernetes", paths: ["kubernetes"] },
  redis: { script: "redis", paths: ["redis"] },
};

const args = process.argv.slice(2);
const split = args.indexOf("--");
const own = split < 0 ? args : args.slice(0, split);
const forVitest = split < 0 ? [] : args.slice(split + 1);
const names = own.filter((arg) => !arg.startsWith("--"));
const unknown = own.filter((arg) => arg !== "--prepare" && !(arg in parts));
if (unknown.length > 0) {
  console.error(`test-integration: unknown ${unknown.join(" ")}; known: --prepare ${Object.keys(parts).join(" ")}`);
  process.exit(2);
}
const wanted = names.length > 0 ? names : Object.keys(parts);

mkdirSync(cacheFolder(), { recursive: true });
// One after the other: each build uses all cores. A part that cannot be had does not keep the others from being tried, but the run has failed.
let failed = false;
for (const name of wanted) {
  try {
    const { prepare } = await import(`./integration/${parts[name].script}.mjs`);
    await prepare();
  } catch (error) {
    failed = true;
    console.error(`test-integration: ${error instanceof Trouble ? error.message : error.stack}`);
  }
}
if (own.includes("--prepare")) process.exit(failed ? 1 : 0);

const filters = names.length > 0 ? names.flatMap((name) => parts[name].paths) : [];
const vitest = [join(root, "node_modules/vitest/vitest.mjs"), "run", "--project", "integration"];
const { status } = spawnSync(process.execPath, [...vitest, ...filters, ...forVitest], { cwd: root, stdio: "inherit" });
process.exit(failed ? 1 : (status ?? 1));
