// A real Consul for the integration run, built from its Go module: no Debian package has it. Some 4 minutes on two idle cores, a quarter of an hour on busy ones; 133 MB.
import { copyFileSync, existsSync, mkdirSync, renameSync, rmSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { run, step, Trouble, tail } from "../setup/progress.mjs";
import { consul, placeOf } from "./places.mjs";

const module = join(dirname(fileURLToPath(import.meta.url)), "consul-agent");
const timeoutMs = 3_600_000;

/** @returns the program: `command` with arguments `agent -dev ...` */
export async function prepare() {
  const command = placeOf(consul);
  if (!existsSync(command)) await step("Consul 1.21.0 (from its Go module, up to 15 minutes)", () => build(command));
  return { command };
}

async function build(command) {
  const source = join(dirname(command), "source");
  const staging = `${command}.part`;
  mkdirSync(source, { recursive: true });
  for (const file of ["go.mod", "program.go"]) copyFileSync(join(module, file), join(source, file));
  const flags = ["-mod=mod", "-trimpath", "-ldflags=-s -w"];
  const { code, missing, output } = await run("go", ["build", ...flags, "-o", staging, "github.com/hashicorp/consul"], {
    cwd: source,
    env: { ...process.env, CGO_ENABLED: "0" },
    timeoutMs,
  });
  if (missing) throw new Trouble("Consul cannot be built: Go is not on PATH (https://go.dev/dl)");
  if (code !== 0) throw new Trouble(`Consul cannot be built: ${tail(output, 3)}`);
  const started = await run(staging, ["version"], { timeoutMs: 60_000 });
  if (started.code !== 0) throw new Trouble(`the Consul that was built does not run: ${tail(started.output, 3)}`);
  renameSync(staging, command);
  rmSync(source, { recursive: true, force: true });
}
