import { describe, expect, it } from "vitest";
import { type NodeReport, type StatusReport, statusText } from "./reports.ts";

/** What `tokenmesh status` prints. */

const report: StatusReport = {
  ready: true,
  version: "1",
  loadedAt: null,
  groups: [{ group: "default", version: "v", types: { CDS: { resources: 2 }, EDS: { resources: 0 } } }],
  nodes: { connected: 1, synced: 0, nacked: 1 },
  nacks: [
    { node: "edge", message: "CDS: bad", resources: ["a"] },
    { node: "gone", message: "LDS: bad", resources: ["l"], earlier: true, awaySince: "2026-01-01T00:00:00.000Z" },
    { node: "back", message: "LDS: bad", resources: ["l"], earlier: true },
  ],
  configErrors: [],
  configWarnings: [],
};
const envoy: NodeReport = {
  ...{ id: "edge", cluster: "c", group: "default", peer: "127.0.0.1:1", settled: false },
  types: { CDS: { state: "nacked" }, LDS: { state: "synced" } },
};

describe("the status", () => {
  it("says that the state store is away, since when, why, and what still works", () => {
    const there = { kind: "redis", available: true };
    expect(statusText({ ...report, state: there }, []).split("\n")[2]).toBe("state    redis");
    const away = { kind: "redis", available: false, awaySince: "2026-01-01", reason: "no answer", effect: "all well" };
    const line = "state    redis is away since 2026-01-01 (no answer): all well";
    expect(statusText({ ...report, state: away }, []).split("\n")[2]).toBe(line);
  });

  it("says of each rejection whether its Envoy is still there", () => {
    expect(statusText(report, [])).toBe(
      [
        "server   ready, tokenmesh 1, configuration of never",
        "group    default v: 2 CDS",
        "Envoys   1 connected, 0 in sync, 1 with a rejection",
        "NACK     Envoy edge: CDS: bad (a)",
        "NACK     Envoy gone, away since 2026-01-01T00:00:00.000Z: LDS: bad (l)",
        "NACK     Envoy back, before its stream ended: LDS: bad (l)",
      ].join("\n"),
    );
  });

  it("has dynamic parameters in a column of their own, where an Envoy has some", () => {
    const lastLines = (...envoys: readonly NodeReport[]) => statusText(report, envoys).split("\n").slice(7);
    expect(lastLines(envoy)).toEqual([
      "ENVOY  CLUSTER  GROUP    PEER         IN SYNC  TYPES",
      "edge   c        default  127.0.0.1:1  no       CDS nacked, LDS",
    ]);
    const dynamicParameters = {
      "type.googleapis.com/envoy.config.cluster.v3.Cluster": { shard: "blue", tier: "a" },
      "type.googleapis.com/envoy.config.listener.v3.Listener": { shard: "blue" },
    };
    expect(lastLines(envoy, { ...envoy, dynamicParameters })).toEqual([
      "ENVOY  CLUSTER  GROUP    PEER         IN SYNC  TYPES            PARAMETERS",
      "edge   c        default  127.0.0.1:1  no       CDS nacked, LDS",
      "edge   c        default  127.0.0.1:1  no       CDS nacked, LDS  Cluster shard=blue tier=a, Listener shard=blue",
    ]);
  });
});
