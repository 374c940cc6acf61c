import { readFileSync } from "node:fs";
import { Registry as MetricsRegistry } from "prom-client";
import { describe, expect, it } from "vitest";
import { ManualClock } from "../../../test/fixtures/discovery/manual-clock.ts";
import { Registry } from "../../discovery/registry/index.ts";
import { silentLogger } from "../../log.ts";
import { MemoryStore } from "./memory-store.ts";
import { MeasuredStore } from "./metrics.ts";

describe("docs/state-store.md", () => {
  it("lists every metric with its labels", async () => {
    const metrics = new MetricsRegistry();
    const store = new MeasuredStore(new MemoryStore(), metrics, () => 0);
    const registry = new Registry({ store, clock: new ManualClock(), log: silentLogger, metrics });
    await registry.ready;
    await registry.register("llm", "a", {
      ...{ address: "10.0.0.1", port: 80, weight: 1, ttl: 30, health: "healthy" },
      locality: undefined,
      labels: {},
    });
    const text = readFileSync(new URL("../../../docs/state-store.md", import.meta.url), "utf8");
    const rows = [...text.matchAll(/^\| `(tokenmesh_[a-z_]+)` \|([^|]*)\|/gm)];
    const listed = rows.map(([, name, labels = ""]) => [
      name,
      [...labels.matchAll(/`(\w+)`/g)].map(([, label]) => label),
    ]);
    const shown = (await metrics.getMetricsAsJSON()).map(({ name, values }) => {
      const [{ labels = {} } = {}] = values as { labels?: object }[];
      return [name, Object.keys(labels).filter((label) => label !== "le")];
    });
    expect(Object.fromEntries(listed)).toEqual(Object.fromEntries(shown));
    registry.close();
    await store.close();
  });
});
