/** The version of the package that this code is of. */
import { readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { defaultWasmDir } from "./resources/index.ts";

export function packageVersion(): string {
  const manifest: unknown = JSON.parse(readFileSync(join(dirname(dirname(defaultWasmDir())), "package.json"), "utf8"));
  const version =
    typeof manifest === "object" && manifest !== null && "version" in manifest ? manifest.version : undefined;
  return typeof version === "string" ? version : "unknown";
}
