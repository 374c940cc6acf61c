import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { ERRORS, ServerError } from "./errors.ts";

const folder = fileURLToPath(new URL(".", import.meta.url));
const sources = readdirSync(folder, { recursive: true, encoding: "utf8" })
  .filter((name) => name.endsWith(".ts") && !name.endsWith(".test.ts") && name !== "errors.ts")
  .map((name) => readFileSync(join(folder, name), "utf8"))
  .join("\n");

describe("error codes", () => {
  it.each(Object.entries(ERRORS))(
    "%s has a meaning and a remedy that are sentences, and is in use",
    (code, { meaning, remedy }) => {
      for (const text of [meaning, remedy]) expect(text).toMatch(/^[A-Z].*\.$/);
      expect(sources).toContain(`"${code}"`);
    },
  );

  it("stand in the message with the remedy", () => {
    expect(new ServerError("TM_LISTEN_FAILED", "no").message).toMatch(/^TM_LISTEN_FAILED no; Choose a free address/);
  });
});
