import fc from "fast-check";
import { Histogram, Registry } from "prom-client";
import { describe, expect, it } from "vitest";
import { Traffic } from "./traffic.ts";

const BOUNDS = [0.001, 0.5, 30];

function lines(text: string, name: string): readonly string[] {
  return text.split("\n").filter((line) => line.startsWith(name));
}

describe("traffic", () => {
  it("is exported by type, and only what there was", async () => {
    const registry = new Registry();
    const traffic = new Traffic(registry, BOUNDS);
    expect(lines(await registry.metrics(), "tokenmesh_xds_")).toEqual([]);
    const eds = traffic.of("EDS");
    expect(traffic.of("EDS")).toBe(eds);
    eds.pushes += 2;
    eds.pushedBytes += 30;
    for (const kind of ["ack", "ack", "nack"]) eds.requested(kind);
    traffic.of("other").requested("unknown-type");
    for (let scrape = 0; scrape < 2; scrape++) {
      expect(lines(await registry.metrics(), "tokenmesh_xds_")).toEqual([
        'tokenmesh_xds_requests_total{type="EDS",kind="ack"} 2',
        'tokenmesh_xds_requests_total{type="EDS",kind="nack"} 1',
        'tokenmesh_xds_requests_total{type="other",kind="unknown-type"} 1',
        'tokenmesh_xds_pushes_total{type="EDS"} 2',
        'tokenmesh_xds_pushed_bytes_total{type="EDS"} 30',
      ]);
    }
  });

  it("property: durations are exported as the library's histogram does", async () => {
    const seconds = fc.oneof(fc.constantFrom(...BOUNDS, 0), fc.double({ min: 0, max: 100, noNaN: true }));
    await fc.assert(
      fc.asyncProperty(fc.array(seconds, { minLength: 1, maxLength: 20 }), async (observed) => {
        const [ours, theirs] = [new Registry(), new Registry()];
        const traffic = new Traffic(ours, BOUNDS);
        const histogram = new Histogram({
          ...{ name: "tokenmesh_xds_ack_seconds", help: "From a response to its ACK or NACK, by type." },
          ...{ labelNames: ["type"], buckets: BOUNDS, registers: [theirs] },
        });
        for (const each of observed) {
          traffic.of("EDS").ackSeconds.observe(each);
          histogram.observe({ type: "EDS" }, each);
        }
        const name = "tokenmesh_xds_ack_seconds";
        const text = await ours.metrics();
        expect(lines(text, name)).toEqual(lines(await theirs.metrics(), name));
        expect(text).toContain(`# TYPE ${name} histogram`);
        expect(lines(text, "tokenmesh_xds_push_seconds")).toEqual([]);
        const json = (await ours.getMetricsAsJSON()).find((metric) => metric.name === name);
        expect(json).toMatchObject({ type: "histogram", aggregator: "sum" });
      }),
    );
  });
});
