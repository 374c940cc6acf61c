// npm run dist: dist/filters/<name>.wasm and dist/filters/SHA256SUMS, in the form that `sha256sum --check` reads.
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { root } from "./lib/stamp.mjs";

const built = spawnSync(process.execPath, [join(root, "scripts/build-filters.mjs"), "--product"], {
  cwd: root,
  stdio: "inherit",
});
if (built.status !== 0) process.exit(built.status ?? 1);
const from = join(root, "build/filters");
const to = join(root, "dist/filters");
// Only filters that still exist: build/ may hold the module of one that was removed.
const names = readdirSync(from)
  .filter((name) => name.endsWith(".wasm") && existsSync(join(root, "filters", name.slice(0, -5), "index.ts")))
  .sort();
rmSync(to, { recursive: true, force: true });
mkdirSync(to, { recursive: true });
const sums = names.map((name) => {
  cpSync(join(from, name), join(to, name));
  const bytes = readFileSync(join(to, name));
  const sum = createHash("sha256").update(bytes).digest("hex");
  console.log(`dist: dist/filters/${name} ${bytes.length} bytes sha256 ${sum}`);
  return `${sum}  ${name}\n`;
});
writeFileSync(join(to, "SHA256SUMS"), sums.join(""));
