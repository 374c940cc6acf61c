// Build stamps: a step is fresh when a hash over the bytes of its inputs equals the one it left when it last succeeded.
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";

export const root = resolve(dirname(fileURLToPath(import.meta.url)), "../..");

function* filesOf(path) {
  if (!existsSync(path)) return;
  if (statSync(path).isFile()) {
    yield path;
    return;
  }
  for (const name of readdirSync(path).sort()) {
    if (name !== "node_modules") yield* filesOf(join(path, name));
  }
}

/** SHA-256 over names and bytes of every file below `inputs` (paths relative to the repository). */
export function hashOf(inputs) {
  const hash = createHash("sha256");
  for (const input of inputs) {
    for (const file of filesOf(join(root, input))) {
      hash.update(file.slice(root.length)).update("\0").update(readFileSync(file)).update("\0");
    }
  }
  return hash.digest("hex");
}

const stampFile = (step) => join(root, "build/.stamps", step);

export function isFresh(step, inputs) {
  const file = stampFile(step);
  return existsSync(file) && readFileSync(file, "utf8") === hashOf(inputs);
}

export function markBuilt(step, inputs) {
  mkdirSync(dirname(stampFile(step)), { recursive: true });
  writeFileSync(stampFile(step), hashOf(inputs));
}
