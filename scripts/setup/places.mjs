// Where set-up puts things. envoy/harness/tools.ts reads the same places; its test compares the two.
import { homedir } from "node:os";
import { join } from "node:path";
import { root } from "../lib/stamp.mjs";

export const toolsDir = join(root, ".tools");
export const funcE = join(toolsDir, "bin/func-e");
export const venv = join(toolsDir, "venv");
export const venvStamp = join(venv, "installed.txt");
export const embeddingStamp = join(venv, "embedding-model.txt");
export const redisDir = join(toolsDir, "redis");
export const valkeyDir = join(toolsDir, "valkey");
export const rateLimitService = join(toolsDir, "bin/ratelimit");
export const failuresFile = join(toolsDir, "failures.json");

/** func-e's own data folder. */
export const dataHome = process.env.FUNC_E_DATA_HOME || join(homedir(), ".local/share/func-e");
export const envoyBinary = (version, home = dataHome) => join(home, "envoy-versions", version, "bin/envoy");
