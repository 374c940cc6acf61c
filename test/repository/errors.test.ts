import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { ERRORS } from "../../xds-server/errors.ts";

/** docs/errors.md and the source name the same codes. */

const root = new URL("../..", import.meta.url).pathname;
const read = (path: string) => readFileSync(`${root}${path}`, "utf8");
const page = read("docs/errors.md");

/** Rows of the table under a heading, as trimmed cells. */
function rows(heading: string): string[][] {
  const section = page.split(`## ${heading}\n`)[1]?.split("\n## ")[0] ?? "";
  return section
    .split("\n")
    .filter((line) => line.startsWith("| `"))
    .map((line) =>
      line
        .slice(1, -1)
        .split(" | ")
        .map((cell) => cell.trim().replaceAll("`", "")),
    );
}

describe("docs/errors.md", () => {
  it("lists the answers of the filters with their status", () => {
    const source = [...read("filters/pipeline/refusal.ts").matchAll(/new Refusal\(\s*(\d+),\s*"(\w+)"/g)];
    expect(source.length).toBeGreaterThan(0);
    expect(rows("Answers of the filters").map(([code, status]) => [code, status])).toEqual(
      expect.arrayContaining(source.map(([, status, code]) => [code, status])),
    );
    expect(rows("Answers of the filters").length).toBe(source.length);
  });

  it("lists the codes of the server with meaning and remedy", () => {
    const expected = Object.entries(ERRORS).map(([code, { meaning, remedy }]) => [
      code,
      meaning,
      remedy.replaceAll("`", ""),
    ]);
    expect(rows("xDS server and command line")).toEqual(expected);
  });

  it("lists the codes of the harness", () => {
    const type = /export type EnvoyErrorCode =([\s\S]*?);/.exec(read("envoy/harness/errors.ts"))?.[1] ?? "";
    const codes = [...type.matchAll(/\| "(\w+)"/g)].map(([, code]) => code);
    expect(codes.length).toBeGreaterThan(0);
    expect(rows("Harness").map(([code]) => code)).toEqual(codes);
  });
});

describe("CONTRIBUTING.md", () => {
  it("explains every script of package.json", () => {
    const { scripts } = JSON.parse(read("package.json")) as { scripts: Record<string, string> };
    const contributing = read("CONTRIBUTING.md");
    const missing = Object.keys(scripts).filter(
      (name) => !/^(pre|post)/.test(name) && !contributing.includes(`\`npm run ${name}\``),
    );
    expect(missing.filter((name) => !contributing.includes(`\`npm ${name}\``))).toEqual([]);
  });
});
