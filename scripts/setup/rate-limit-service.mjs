// envoyproxy/ratelimit, the Rate Limit Service that others run behind Envoy, built from source into .tools/bin: the tests show that the limiter works with
// it unchanged, and the benchmark compares. The product never needs it: when it cannot be had, set-up goes on and those tests are skipped with the reason.
import { existsSync, mkdirSync, renameSync, rmSync } from "node:fs";
import { dirname, join } from "node:path";
import { optional } from "./failures.mjs";
import { rateLimitService } from "./places.mjs";
import { run, step, tail } from "./progress.mjs";

const source = "github.com/envoyproxy/ratelimit/src/service_cmd@v1.4.1-0.20260122083618-3fb702589d36";
/** Half a minute on two idle cores, several on busy ones. */
const timeoutMs = 900_000;

export async function installRateLimitService() {
  if (existsSync(rateLimitService)) return;
  await optional({ name: "ratelimit", subject: source, what: "envoyproxy/ratelimit" }, () =>
    step(`envoyproxy/ratelimit (go install ${source})`, build),
  );
}

/** Resolves to the reason when it does not work. */
async function build() {
  // Go names the program after its folder, service_cmd.
  const staging = `${rateLimitService}.part`;
  try {
    const { code, missing, output } = await run("go", ["install", source], {
      env: { ...process.env, GOBIN: staging },
      timeoutMs,
    });
    if (missing) return "Go is not on PATH (https://go.dev/dl)";
    if (code !== 0) return `go install ${source} failed: ${tail(output, 3)}`;
    mkdirSync(dirname(rateLimitService), { recursive: true });
    renameSync(join(staging, "service_cmd"), rateLimitService);
    return undefined;
  } finally {
    rmSync(staging, { recursive: true, force: true });
  }
}
