// Redis and Valkey for the integration run are those of set-up, which npm has run before; here it is an error when there is none.
import { existsSync } from "node:fs";
import { join } from "node:path";
import { redisDir, valkeyDir } from "../setup/places.mjs";
import { run, Trouble } from "../setup/progress.mjs";

/** @returns the programs: `command` is redis-server, `valkey` the other one */
export async function prepare() {
  return {
    command: await found("redis-server", process.env.REDIS_SERVER, redisDir),
    valkey: await found("valkey-server", process.env.VALKEY_SERVER, valkeyDir),
  };
}

async function found(program, given, folder) {
  const downloaded = join(folder, program);
  for (const path of [given, existsSync(downloaded) ? downloaded : undefined, program]) {
    if (path && (await run(path, ["--version"])).code === 0) return path;
  }
  throw new Trouble(`no ${program}; node scripts/setup.mjs --test --retry gets one`);
}
