// func-e, the Envoy launcher, built from source into .tools/bin. (The npm package of that name is something else.)
import { existsSync } from "node:fs";
import { dirname } from "node:path";
import { funcE } from "./places.mjs";
import { run, step, Trouble, tail } from "./progress.mjs";

const source = "github.com/tetratelabs/func-e/cmd/func-e@v1.6.0";

export async function installFuncE() {
  if (existsSync(funcE)) return;
  await step(`func-e (go install ${source})`, async () => {
    const { code, missing, output } = await run("go", ["install", source], {
      env: { ...process.env, GOBIN: dirname(funcE) },
    });
    if (code === 0) return;
    const problem = missing
      ? "Go is not on PATH; func-e is built with it. Install Go 1.26.2 or newer (https://go.dev/dl; 1.21 or newer fetches it by itself)"
      : `go install ${source} failed:\n${tail(output)}\nIt needs a Go module proxy and Go 1.26.2 or newer`;
    // A given Envoy can be started without func-e.
    if (!process.env.ENVOY_PATH) throw new Trouble(`${problem}, or set ENVOY_PATH to an Envoy binary.`);
    console.log(`setup: ${problem}. Going on without func-e, with ENVOY_PATH.`);
  });
}
