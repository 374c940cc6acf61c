#!/usr/bin/env node
// Gets a fresh clone ready to run, with nothing but Node, Go and Python on the machine. Every step looks first and does nothing when it is done.
//   node scripts/setup.mjs           what `npm start` needs: packages, build, func-e, the newest Envoy
//   node scripts/setup.mjs --bench   and what the benchmarks compare with: redis-server, envoyproxy/ratelimit
//   node scripts/setup.mjs --test    and what the tests need: these two, their own modules, the oldest Envoy, the official Python client, an embedding model, valkey-server
//   node scripts/setup.mjs --all     and every Envoy of envoy/versions.json
//   --retry                          try again what failed here before (remembered in .tools/failures.json for a day)
import { installEmbeddingModel } from "./setup/embedding-model.mjs";
import { installEnvoys } from "./setup/envoy.mjs";
import { forget } from "./setup/failures.mjs";
import { installFuncE } from "./setup/func-e.mjs";
import { withLock } from "./setup/lock.mjs";
import { build, installPackages } from "./setup/node-packages.mjs";
import { Trouble } from "./setup/progress.mjs";
import { installPythonClients } from "./setup/python-clients.mjs";
import { installRateLimitService } from "./setup/rate-limit-service.mjs";
import { installRedis, installValkey } from "./setup/stores.mjs";
import { wantedVersions } from "./setup/versions.mjs";

const known = ["--bench", "--test", "--all", "--retry"];
const options = new Set(process.argv.slice(2));
const unknown = [...options].filter((option) => !known.includes(option));
if (unknown.length > 0) {
  console.error(`setup: unknown option ${unknown.join(" ")}; known: ${known.join(" ")}`);
  process.exit(2);
}
const all = options.has("--all");
const test = all || options.has("--test");
const bench = test || options.has("--bench");
if (options.has("--retry")) forget();

const outcome = await withLock(() =>
  Promise.allSettled([
    installPackages().then(() => build({ tests: test })),
    installFuncE().then(() => installEnvoys(wantedVersions({ all, test }))),
    test ? installPythonClients().then(installEmbeddingModel) : undefined,
    bench ? installRedis() : undefined,
    test ? installValkey() : undefined,
    bench ? installRateLimitService() : undefined,
  ]),
);
const failures = outcome.filter(({ status }) => status === "rejected").map(({ reason }) => reason);
for (const failure of failures) {
  console.error(`setup: ${failure instanceof Trouble ? failure.message : (failure.stack ?? failure)}`);
}
process.exit(failures.length > 0 ? 1 : 0);
