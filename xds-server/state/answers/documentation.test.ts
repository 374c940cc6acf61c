import { readFileSync } from "node:fs";
import { Command } from "commander";
import { Registry } from "prom-client";
import { describe, expect, it } from "vitest";
import { addAnswersOptions } from "./cli.ts";
import { CACHE_ERRORS } from "./errors.ts";
import { FLIGHT_RESULTS, FOLLOW_RESULTS } from "./flight-metrics.ts";
import { createAnswerService } from "./index.ts";
import { GET_RESULTS, POLL_RESULTS, PUT_RESULTS } from "./metrics.ts";
import { parseTarget } from "./purge-api.ts";
import { REPLAY_RESULTS } from "./replay-metrics.ts";
import { EMBEDDING_RESULTS, SEMANTIC_GET_RESULTS, SEMANTIC_PUT_RESULTS } from "./semantic/metrics.ts";

/** docs/answer-service.md and the source say the same. */

const page = readFileSync(new URL("../../../docs/answer-service.md", import.meta.url), "utf8");

/** Rows of the tables with that head. */
function rows(...head: readonly string[]): readonly string[][] {
  const [, ...tables] = page.split(`| ${head.join(" | ")} |\n`);
  return tables
    .flatMap((table) => table.split("\n\n", 1).join("").split("\n").slice(1))
    .filter((line) => line !== "")
    .map((line) =>
      line
        .split("|")
        .slice(1, -1)
        .map((cell) => cell.trim()),
    );
}

describe("docs/answer-service.md", () => {
  it("lists every error", () => {
    const expected = Object.entries(CACHE_ERRORS).map(([code, { status, remedy }]) => [
      `\`${code}\``,
      String(status),
      remedy,
    ]);
    expect(rows("code", "status", "remedy")).toEqual(expected);
  });

  it("lists every metric with its labels, and every result", async () => {
    const registry = new Registry();
    const service = createAnswerService(registry);
    const own = registry.getMetricsAsArray().map((metric) => {
      const { labelNames } = metric as unknown as { labelNames: readonly string[] };
      return [
        `\`${metric.name.slice("tokenmesh_answers_".length)}\``,
        labelNames.map((label) => `\`${label}\``).join(", "),
      ];
    });
    const listed = rows("metric", "labels", "meaning");
    expect(listed.map(([name, labels]) => [name, labels]).sort()).toEqual(own.sort());
    for (const [name, results] of [
      ["gets_total", GET_RESULTS],
      ["puts_total", PUT_RESULTS],
      ["polls_total", POLL_RESULTS],
      ["flights_total", FLIGHT_RESULTS],
      ["follows_total", FOLLOW_RESULTS],
      ["replays_total", REPLAY_RESULTS],
      ["similar_gets_total", SEMANTIC_GET_RESULTS],
      ["similar_puts_total", SEMANTIC_PUT_RESULTS],
      ["embedding_calls_total", EMBEDDING_RESULTS],
    ] as const) {
      const meaning = listed.find(([each]) => each === `\`${name}\``)?.[2] ?? "";
      expect([...meaning.matchAll(/`(\w+)`/g)].map(([, result]) => result).sort()).toEqual([...results].sort());
    }
    await service.close();
  });

  it("lists every option of the command with its default", () => {
    const serve = addAnswersOptions(new Command());
    const expected = serve.options.map(({ long, defaultValue }) => [
      `\`${long}\``,
      defaultValue === undefined ? undefined : String(defaultValue),
    ]);
    const listed = rows("option", "default", "meaning");
    expect(
      listed.map(([option, value], index) => [option, expected[index]?.[1] === undefined ? undefined : value]),
    ).toEqual(expected);
  });

  it("has purges that are ones", () => {
    const bodies = [...page.matchAll(/-d '(.*)'$/gm)].map(([, body = ""]) => JSON.parse(body) as object);
    expect(bodies.map((body) => Object.keys(parseTarget(body).shown)[0])).toEqual(["model", "tenant", "key", "all"]);
    expect(rows("member", "what goes").map(([member]) => member)).toEqual(["`model`", "`tenant`", "`key`", "`all`"]);
  });
});
