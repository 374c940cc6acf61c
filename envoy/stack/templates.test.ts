import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, onTestFinished, test } from "vitest";
import { parseAllDocuments } from "yaml";
import { fillTemplate, writeConfig } from "./templates.ts";

const templates = fileURLToPath(new URL("./config/", import.meta.url));
const values = { PROXY_PORT: 0, GPT_A_PORT: 1001, GPT_B_PORT: 1002, CLAUDE_A_PORT: 1003, CLAUDE_B_PORT: 1004 };

test("a placeholder without a value is an error, not an empty text", () => {
  expect(() => fillTemplate(`port: \${NOPE}`, {})).toThrow("NOPE");
  expect(fillTemplate(`port: \${A}\${A}`, { A: 7 })).toBe("port: 77");
});

test("the stack's templates become YAML without placeholders, of the eight kinds", async () => {
  const folder = await mkdtemp(join(tmpdir(), "tokenmesh-templates-"));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  await writeConfig(templates, folder, values);
  const kinds = new Set<string>();
  for (const name of await readdir(folder)) {
    const text = await readFile(join(folder, name), "utf8");
    expect(text).not.toContain("${");
    for (const document of parseAllDocuments(text)) {
      expect(document.errors).toEqual([]);
      kinds.add((document.toJS() as { kind: string }).kind);
    }
  }
  expect([...kinds].sort()).toEqual([
    "DestinationRule",
    "EndpointPicker",
    "Gateway",
    "LLMRouter",
    "PromptCache",
    "ServiceEntry",
    "TokenRateLimit",
    "VirtualService",
  ]);
});
