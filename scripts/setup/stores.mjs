// A redis-server and a valkey-server for the tests of the token ledger. One on PATH (or REDIS_SERVER, VALKEY_SERVER) is used as it is; otherwise, on Debian
// and Ubuntu, it is unpacked below .tools. The product never needs them: when one cannot be had, set-up goes on and its tests are skipped with the reason.
import { existsSync } from "node:fs";
import { join } from "node:path";
import { unpackPackage } from "./debian-package.mjs";
import { optional } from "./failures.mjs";
import { redisDir, valkeyDir } from "./places.mjs";
import { run, step } from "./progress.mjs";

export const installRedis = () =>
  install({ name: "redis", program: "redis-server", given: process.env.REDIS_SERVER, folder: redisDir });

export const installValkey = () =>
  install({
    ...{ name: "valkey", program: "valkey-server", given: process.env.VALKEY_SERVER, folder: valkeyDir },
    backportsOf: "bookworm",
  });

async function install({ name, program, given, folder, backportsOf }) {
  if (existsSync(join(folder, program)) || (await runs(given || program))) return;
  await optional({ name, what: program }, () =>
    step(`${program} (.tools/${name})`, () => unpackPackage({ name: program, program, folder, backportsOf })),
  );
}

const runs = async (command) => (await run(command, ["--version"])).code === 0;
