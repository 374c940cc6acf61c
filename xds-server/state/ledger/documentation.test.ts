import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { silentLogger } from "../../log.ts";
import { parseLedgerConfig } from "./config.ts";
import { LEDGER_ERRORS } from "./errors.ts";
import { createLedgerMetrics } from "./metrics.ts";

/** docs/token-ledger.md and the source say the same. Its Envoy configuration runs in ledger.envoy.test.ts. */

const page = readFileSync(new URL("../../../docs/token-ledger.md", import.meta.url), "utf8");

/** Rows of the table whose head begins with the given cells. */
function rows(...head: readonly string[]): readonly string[][] {
  const [, table = ""] = page.split(`| ${head.join(" | ")} |\n`);
  return table
    .split("\n\n", 1)
    .join("")
    .split("\n")
    .slice(1)
    .map((line) =>
      line
        .split("|")
        .slice(1, -1)
        .map((cell) => cell.trim()),
    );
}

describe("docs/token-ledger.md", () => {
  it("has configurations without errors: that for tokenmesh's own filter, and one with patterns", () => {
    const domains = [...page.matchAll(/```yaml ledger\n([\s\S]*?)```/g)].flatMap(([, yaml = ""]) => {
      const parsed = parseLedgerConfig("docs", yaml);
      expect(parsed).toMatchObject({ ok: true });
      return parsed.ok ? parsed.config.domains : [];
    });
    expect(domains.map(({ name, override, descriptors }) => [name, override, descriptors.length])).toEqual([
      ["tokenmesh", true, 0],
      ["llm", false, 3],
    ]);
  });

  it("lists every error", () => {
    const expected = Object.entries(LEDGER_ERRORS).map(([code, { status, remedy }]) => [
      `\`${code}\``,
      String(status),
      remedy,
    ]);
    expect(rows("code", "status", "remedy")).toEqual(expected);
  });

  it("lists every metric with its labels", async () => {
    const { registry } = createLedgerMetrics(silentLogger);
    const own = registry.getMetricsAsArray().filter(({ name }) => name.startsWith("tokenmesh_ledger_"));
    const expected = own.map((metric) => {
      const labels = (metric as unknown as { labelNames: readonly string[] }).labelNames;
      return [`\`${metric.name.slice("tokenmesh_ledger_".length)}\``, labels.map((label) => `\`${label}\``).join(", ")];
    });
    expect(
      rows("metric", "labels", "meaning")
        .map(([name, labels]) => [name, labels])
        .sort(),
    ).toEqual(expected.sort());
  });
});
