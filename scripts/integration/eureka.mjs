// A real Eureka server for the integration run, as Spring Cloud packs it, built with Maven. Half a minute, 60 MB, and 140 MB in Maven's own cache.
import { cpSync, existsSync, mkdirSync, renameSync, rmSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { run, step, Trouble, tail } from "../setup/progress.mjs";
import { eureka, placeOf } from "./places.mjs";

const project = join(dirname(fileURLToPath(import.meta.url)), "eureka-server");
const timeoutMs = 1_800_000;

/** @returns the program: `command` with `args`, and properties of Spring after them */
export async function prepare() {
  const jar = placeOf(eureka);
  if (!existsSync(jar)) await step("Eureka 5.0.1 (Spring Cloud 2025.1.1, with Maven)", () => build(jar));
  return { command: "java", args: ["-Xmx256m", "-XX:TieredStopAtLevel=1", "-jar", jar] };
}

async function build(jar) {
  const source = join(dirname(jar), "source");
  rmSync(source, { recursive: true, force: true });
  mkdirSync(source, { recursive: true });
  for (const part of ["pom.xml", "src"]) cpSync(join(project, part), join(source, part), { recursive: true });
  const { code, missing, output } = await run("mvn", ["--batch-mode", "--no-transfer-progress", "--quiet", "package"], {
    cwd: source,
    timeoutMs,
  });
  if (missing)
    throw new Trouble("the Eureka server cannot be built: Maven is not on PATH (Java 17 and Maven are needed)");
  if (code !== 0) throw new Trouble(`the Eureka server cannot be built: ${tail(output, 5)}`);
  renameSync(join(source, "target/eureka-server.jar"), jar);
  rmSync(source, { recursive: true, force: true });
}
