import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { openapiText } from "./openapi-text.ts";

/** docs/openapi.json is what the code says; `tokenmesh openapi` prints it. */

const root = new URL("../../", import.meta.url).pathname;

interface Operation {
  readonly summary?: string;
  readonly tags?: readonly string[];
  readonly parameters?: readonly { readonly name: string; readonly in: string }[];
}

describe("the OpenAPI document", () => {
  const { version } = JSON.parse(readFileSync(`${root}package.json`, "utf8")) as { version: string };

  it("is the one in docs", async () => {
    expect(readFileSync(`${root}docs/openapi.json`, "utf8")).toBe(await openapiText(version));
  });

  it("describes every operation, and names every parameter of its path", async () => {
    const { openapi, paths } = JSON.parse(await openapiText(version)) as {
      openapi: string;
      paths: Record<string, Record<string, Operation>>;
    };
    expect(openapi).toBe("3.1.0");
    const operations = Object.entries(paths).flatMap(([path, methods]) =>
      Object.entries(methods).map(([method, operation]) => ({ name: `${method} ${path}`, path, operation })),
    );
    expect(operations.length).toBeGreaterThan(30);
    for (const { name, path, operation } of operations) {
      expect([name, operation.summary, operation.tags?.length]).toEqual([name, expect.any(String), 1]);
      const inPath = (operation.parameters ?? []).filter((each) => each.in === "path").map((each) => each.name);
      expect([name, inPath.sort()]).toEqual([name, [...path.matchAll(/\{(\w+)\}/g)].map(([, each]) => each).sort()]);
    }
  });
});
