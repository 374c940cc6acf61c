import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { decode, encode, type ProtoObject } from "../../protos/index.ts";
import { nodeIdentity } from "../cache/index.ts";
import { CallError } from "../grpc/index.ts";
import { type ClusterLoad, decodeLoadReport, encodeLoadResponse, type LocalityLoad } from "./load-report-wire.ts";
import { LoadReports } from "./load-reports.ts";

const REQUEST = "envoy.service.load_stats.v3.LoadStatsRequest";
const LOCALITY = { region: "r", zone: "z", subZone: "s" };
const NONE = { successful: 0, errors: 0, issued: 0, inProgress: 0 };

const endpoint = (port: number, inProgress: number, issued = 0) => ({
  ...{ ...NONE, address: "10.0.0.1", port, inProgress, issued },
});
const locality = (endpoints: LocalityLoad["endpoints"], counts: Partial<LocalityLoad> = {}): LocalityLoad => ({
  ...{ ...NONE, locality: LOCALITY, priority: 0, endpoints },
  inProgress: endpoints.reduce((sum, each) => sum + each.inProgress, 0),
  issued: endpoints.reduce((sum, each) => sum + each.issued, 0),
  ...counts,
});
const load = (cluster: string, ...localities: LocalityLoad[]): ClusterLoad => ({
  ...{ cluster, service: "", localities, dropped: 0, intervalMs: 1_000 },
});

function reportsOf(maxPlaces = 1_000) {
  const clock = { now: 0 };
  return { clock, loads: new LoadReports({ now: () => clock.now, intervalMs: 1_000, maxPlaces }) };
}

describe("load reports", () => {
  it("add up over Envoys; what nobody ever named is unknown", () => {
    const { loads } = reportsOf();
    const [one, two] = [loads.open(nodeIdentity("1", "c")), loads.open(nodeIdentity("2", "c"))];
    loads.report(one, [load("a", locality([endpoint(1, 3), endpoint(2, 0, 5)]))]);
    loads.report(two, [load("a", locality([endpoint(1, 4)])), load("b", locality([endpoint(1, 1)]))]);
    expect(loads.inProgress("10.0.0.1", 1)).toBe(8);
    expect(loads.inProgress("10.0.0.1", 2)).toBe(0);
    expect(loads.inProgress("10.0.0.1", 3)).toBeUndefined();
    loads.close(two);
    expect(loads.inProgress("10.0.0.1", 1)).toBe(3);
    loads.close(one);
    expect(loads.inProgress("10.0.0.1", 1)).toBeUndefined();
    expect(loads).toMatchObject({ places: 0, reporters: 0 });
  });

  it("are rates over the time that the report is of", () => {
    const { loads } = reportsOf();
    const counts = { successful: 20, errors: 10, issued: 40, inProgress: 5 };
    loads.report(loads.open(nodeIdentity("n", "c")), [
      { ...load("a", locality([], counts)), intervalMs: 2_000, dropped: 6 },
    ]);
    const rates = { successfulPerSecond: 10, errorsPerSecond: 5, issuedPerSecond: 20, inProgress: 5 };
    expect(loads.view()).toEqual({
      nodes: [{ id: "n", cluster: "c", reportedAt: "1970-01-01T00:00:00.000Z" }],
      clusters: [
        {
          cluster: "a",
          ...rates,
          droppedPerSecond: 3,
          localities: [{ ...LOCALITY, priority: 0, ...rates, endpoints: [] }],
        },
      ],
    });
  });

  it("that leave an endpoint out say that it is idle only of an Envoy that names all that is under way", () => {
    const { clock, loads } = reportsOf();
    const [old, recent] = [loads.open(nodeIdentity("old", "c")), loads.open(nodeIdentity("recent", "c"))];
    loads.report(old, [load("a", locality([endpoint(1, 2, 2)]))]);
    loads.report(recent, [load("a", locality([endpoint(2, 2, 2)]))]);
    clock.now = 1_000;
    loads.report(old, [load("a")]);
    // Nothing new, and yet named.
    loads.report(recent, [load("a", locality([endpoint(2, 1, 0)]))]);
    expect([1, 2].map((port) => loads.inProgress("10.0.0.1", port))).toEqual([2, 1]);
    clock.now = 2_000;
    loads.report(old, [load("a")]);
    loads.report(recent, [load("a")]);
    expect([1, 2].map((port) => loads.inProgress("10.0.0.1", port))).toEqual([2, 0]);
    clock.now = 3_000;
    loads.report(old, [load("a", locality([endpoint(1, 0, 1)]))]);
    expect(loads.inProgress("10.0.0.1", 1)).toBe(0);
  });

  it("are believed for a few intervals, and what is idle is forgotten in the end", () => {
    const { clock, loads } = reportsOf();
    const reporter = loads.open(nodeIdentity("n", "c"));
    loads.report(reporter, [load("a", locality([endpoint(1, 2)]))]);
    clock.now = 3_000;
    expect(loads.inProgress("10.0.0.1", 1)).toBe(2);
    clock.now = 3_001;
    expect(loads.inProgress("10.0.0.1", 1)).toBeUndefined();
    expect(loads.view().clusters).toEqual([]);
    loads.report(reporter, [load("a")]);
    expect(loads.places).toBe(2);
    clock.now += 10 * 60_000;
    loads.report(reporter, [load("a")]);
    expect(loads.places).toBe(0);
  });

  it("are kept for a bounded number of places", () => {
    const { loads } = reportsOf(10);
    const reporter = loads.open(nodeIdentity("n", "c"));
    for (let round = 0; round < 5; round++) {
      const endpoints = Array.from({ length: 50 }, (_, port) => endpoint(port, 1));
      loads.report(reporter, [load(`c${round}`, locality(endpoints))]);
    }
    expect(loads.places).toBe(10);
    expect(loads.dropped).toBeGreaterThan(40);
    expect(reporter.clusters.size).toBe(1);
  });

  it("of a stream that is over are not taken", () => {
    const { loads } = reportsOf();
    const reporter = loads.open(nodeIdentity("n", "c"));
    loads.close(reporter);
    loads.report(reporter, [load("a", locality([endpoint(1, 1)]))]);
    expect(loads.places).toBe(0);
  });
});

describe("load reports on the wire", () => {
  it("property: are read as protobufjs writes them", () => {
    const count = fc.integer({ min: 0, max: Number.MAX_SAFE_INTEGER });
    const counts = fc.record({ successful: count, errors: count, issued: count, inProgress: count });
    const text = fc.string({ maxLength: 8 });
    const endpoints = fc.array(fc.tuple(fc.ipV4(), fc.integer({ min: 1, max: 65_535 }), counts), { maxLength: 3 });
    const localities = fc.array(fc.tuple(fc.tuple(text, text, text), fc.nat(9), counts, endpoints), { maxLength: 3 });
    const proto = (each: typeof NONE, issued: string): ProtoObject => ({
      total_successful_requests: each.successful,
      total_error_requests: each.errors,
      total_requests_in_progress: each.inProgress,
      [issued]: each.issued,
    });
    fc.assert(
      fc.property(text, localities, count, fc.nat(100_000), (cluster, list, dropped, ms) => {
        const bytes = encode(REQUEST, {
          node: { id: "n" },
          cluster_stats: [
            {
              ...{ cluster_name: cluster, cluster_service_name: "svc", total_dropped_requests: dropped },
              load_report_interval: { seconds: Math.floor(ms / 1_000), nanos: (ms % 1_000) * 1_000_000 },
              upstream_locality_stats: list.map(([[region, zone, sub_zone], priority, each, all]) => ({
                ...{ locality: { region, zone, sub_zone }, priority, ...proto(each, "total_issued_requests") },
                upstream_endpoint_stats: all.map(([address, port_value, one]) => ({
                  address: { socket_address: { address, port_value } },
                  ...proto(one, "total_issued_requests"),
                })),
              })),
            },
          ],
        });
        const { node, clusters } = decodeLoadReport(bytes);
        expect(node?.id).toBe("n");
        expect(clusters).toEqual([
          {
            ...{ cluster, service: "svc", dropped, intervalMs: ms },
            localities: list.map(([[region, zone, subZone], priority, each, all]) => ({
              ...{ locality: { region, zone, subZone }, priority, ...each },
              endpoints: all.map(([address, port, one]) => ({ address, port, ...one })),
            })),
          },
        ]);
      }),
    );
  });

  it("property: bytes that are none are refused, never anything else", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 100 }), (bytes) => {
        try {
          decodeLoadReport(bytes);
        } catch (error) {
          expect(error).toBeInstanceOf(CallError);
        }
      }),
    );
  });

  it("the answer names clusters, or means all", () => {
    const read = (bytes: Uint8Array) => decode("envoy.service.load_stats.v3.LoadStatsResponse", bytes);
    const rest = { load_reporting_interval: { seconds: "1", nanos: 500_000_000 }, report_endpoint_granularity: true };
    expect(read(encodeLoadResponse(["a", "b"], 1_500))).toEqual({ clusters: ["a", "b"], ...rest });
    expect(read(encodeLoadResponse(undefined, 1_500))).toEqual({ ...rest, send_all_clusters: true });
  });
});
