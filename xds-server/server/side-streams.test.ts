import { Client, credentials, type ServiceError, status } from "@grpc/grpc-js";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { waitFor } from "../../envoy/harness/wait-for.ts";
import { decode, encode, type ProtoObject, TypeUrl } from "../../protos/index.ts";
import { DELTA, type MessagePair, XdsStream } from "../../test/fixtures/xds-stream.ts";
import { createResource, createSnapshot, SnapshotCache } from "../cache/index.ts";
import { silentLogger } from "../log.ts";
import { FETCH_STATUS_PATH, STREAM_STATUS_PATH } from "./client-status.ts";
import { ADS_DELTA_PATH } from "./discovery-services.ts";
import { LOAD_STATS_PATH } from "./load-reporting.ts";
import { LoadReports } from "./load-reports.ts";
import { createMetrics } from "./metrics.ts";
import type { Authorize } from "./stream-context.ts";
import { nodeStatuses, StreamRegistry } from "./stream-registry.ts";
import { startXdsServer, type XdsServer } from "./xds-server.ts";

/** Load reports and client status over the wire. */

const LRS: MessagePair = {
  request: "envoy.service.load_stats.v3.LoadStatsRequest",
  response: "envoy.service.load_stats.v3.LoadStatsResponse",
};
const CSDS: MessagePair = {
  request: "envoy.service.status.v3.ClientStatusRequest",
  response: "envoy.service.status.v3.ClientStatusResponse",
};
const ALL = { client_features: ["envoy.lrs.supports_send_all_clusters"] };

const cluster = (name: string) => createResource(TypeUrl.cluster, name, { name });

describe("beside discovery", () => {
  let cache: SnapshotCache;
  let registry: StreamRegistry;
  let loads: LoadReports;
  let server: XdsServer;
  let client: Client;
  let refused: ReturnType<Authorize>;

  beforeEach(async () => {
    cache = new SnapshotCache();
    registry = new StreamRegistry();
    loads = new LoadReports({ intervalMs: 1_000 });
    refused = undefined;
    server = await startXdsServer("127.0.0.1:0", {
      ...{ cache, registry, loads, metrics: createMetrics(), log: silentLogger, identifier: "test", now: () => 5_000 },
      options: { authorize: (_peer, { id }) => (id === "other" ? refused : undefined) },
    });
    client = new Client(server.address, credentials.createInsecure());
  });
  afterEach(async () => {
    client.close();
    await server.close();
  });

  describe("load reports", () => {
    const open = (node: ProtoObject, stats: readonly ProtoObject[] = []) => {
      const stream = new XdsStream(client, LOAD_STATS_PATH, LRS);
      stream.send({ node, cluster_stats: stats });
      return stream;
    };
    const stats = (...names: string[]) =>
      names.map((cluster_name) => ({
        cluster_name,
        upstream_locality_stats: [{ total_requests_in_progress: 2, total_issued_requests: 1 }],
      }));

    it("are asked for at once, and taken until the stream ends", async () => {
      const stream = open({ id: "n", ...ALL });
      expect(await stream.response(0)).toMatchObject({ send_all_clusters: true, report_endpoint_granularity: true });
      stream.send({ cluster_stats: stats("a") });
      await waitFor(() => loads.view().clusters.length === 1, { timeoutMs: 5_000, what: "the report" });
      expect(loads.view().clusters[0]).toMatchObject({ cluster: "a", inProgress: 2, issuedPerSecond: 1 });
      stream.close();
      await waitFor(() => loads.reporters === 0, { timeoutMs: 5_000, what: "the end" });
      expect(loads.view().clusters).toEqual([]);
    });

    it("are asked for again when there are clusters that a report leaves out", async () => {
      cache.set("default", createSnapshot([cluster("a"), cluster("b")]));
      const stream = open({ id: "n", ...ALL });
      await stream.response(0);
      stream.send({ cluster_stats: stats("a") });
      await stream.response(1);
      stream.send({ cluster_stats: stats("a", "b", "static") });
      await waitFor(() => loads.view().clusters.length === 3, { timeoutMs: 5_000, what: "the report" });
      expect(stream.responses).toHaveLength(2);
    });

    it("are asked for by name of a client that does not know the word for all", async () => {
      cache.set("default", createSnapshot([cluster("a"), cluster("b")]));
      expect(await open({ id: "n" }).response(0)).toMatchObject({ clusters: ["a", "b"] });
    });

    it.each([
      ["no node", {}, status.INVALID_ARGUMENT],
      ["nothing to name yet", { id: "n" }, status.UNAVAILABLE],
      ["a node that may not be served", { id: "other", ...ALL }, status.PERMISSION_DENIED],
    ] as const)("are refused of %s", async (_what, node, code) => {
      refused = "no";
      expect((await open(node).ended()).code).toBe(code);
      expect(loads.reporters).toBe(0);
    });
  });

  describe("client status", () => {
    const pass = (bytes: Buffer): Buffer => bytes;
    const fetch = (request: ProtoObject = {}): Promise<readonly ProtoObject[]> =>
      new Promise((resolve, reject) => {
        const bytes = Buffer.from(encode(CSDS.request, request));
        client.makeUnaryRequest(FETCH_STATUS_PATH, pass, pass, bytes, (error: ServiceError | null, answer) => {
          if (error !== null) return reject(error);
          const { config } = decode(CSDS.response, answer ?? Buffer.alloc(0));
          resolve((config ?? []) as readonly ProtoObject[]);
        });
      });
    const subscribe = (id: string, request: ProtoObject = { type_url: TypeUrl.cluster }) => {
      const stream = new XdsStream(client, ADS_DELTA_PATH, DELTA);
      stream.send({ node: { id, cluster: "c", locality: { zone: "z" } }, ...request });
      return stream;
    };
    const resources = (config: ProtoObject | undefined) =>
      (config?.generic_xds_configs ?? []) as readonly ProtoObject[];

    it("tells of each resource what was sent and what became of it", async () => {
      cache.set("default", createSnapshot([cluster("a"), cluster("b")]));
      const stream = subscribe("n");
      const first = await stream.response(0);
      expect(resources((await fetch())[0])).toMatchObject([
        { name: "a", client_status: "REQUESTED", config_status: "STALE" },
        { name: "b", client_status: "REQUESTED", config_status: "STALE" },
      ]);
      stream.answer(first, "cluster b: bad");
      await waitFor(() => registry.nacks.size === 1, { timeoutMs: 5_000, what: "the NACK" });
      stream.send({ type_url: TypeUrl.endpoints, resource_names_subscribe: ["none"] });
      stream.answer(await stream.response(1));
      await waitFor(() => nodeStatuses(registry)[0]?.types.EDS?.state === "synced", { timeoutMs: 5_000, what: "EDS" });
      const [config] = await fetch();
      expect(config?.node).toMatchObject({ id: "n", cluster: "c", locality: { zone: "z" } });
      expect(config?.client_scope).toBe("ADS delta");
      const shown = resources(config);
      expect(shown).toMatchObject([
        { name: "a", version_info: cluster("a").version, client_status: "ACKED", config_status: "SYNCED" },
        {
          ...{ name: "b", client_status: "NACKED", config_status: "ERROR" },
          error_state: {
            ...{ details: "cluster b: bad", version_info: cluster("b").version },
            last_update_attempt: { seconds: "5", nanos: 0 },
          },
        },
        { type_url: TypeUrl.endpoints, name: "none", client_status: "DOES_NOT_EXIST", config_status: "NOT_SENT" },
      ]);
      expect(shown[0]?.xds_config).toMatchObject({ type_url: TypeUrl.cluster });
      expect(resources((await fetch({ exclude_resource_contents: true }))[0])[0]?.xds_config).toBeUndefined();
    });

    it("shows no secret", async () => {
      const hidden = createResource(TypeUrl.cluster, "a", { name: "a", alt_stat_name: "key-1" }, [], ["key-1"]);
      const secret = createResource(TypeUrl.secret, "s", { name: "s" });
      cache.set("default", createSnapshot([hidden, secret]));
      const stream = subscribe("n");
      stream.send({ type_url: TypeUrl.secret, resource_names_subscribe: ["s"] });
      await Promise.all([stream.response(0), stream.response(1)]);
      const shown = resources((await fetch())[0]);
      expect(shown.map(({ name }) => name)).toEqual(["a", "s"]);
      for (const each of shown) expect(each.xds_config).toBeUndefined();
    });

    it.each([
      [{ exact: "edge-1" }, ["edge-1"]],
      [{ prefix: "edge" }, ["edge-1", "edge-2"]],
      [{ suffix: "-1" }, ["core-1", "edge-1"]],
      [{ contains: "E-", ignore_case: true }, ["core-1", "edge-1", "edge-2"]],
      [{ exact: "EDGE-1" }, []],
    ])("finds nodes by id: %j", async (node_id, found) => {
      cache.set("default", createSnapshot([cluster("a")]));
      await Promise.all(["edge-1", "edge-2", "core-1"].map((id) => subscribe(id).response(0)));
      const configs = await fetch({ node_matchers: [{ node_id }] });
      expect(configs.map(({ node }) => (node as ProtoObject).id).sort()).toEqual(found);
    });

    it("refuses matchers that it does not understand, for it would show more than was asked for", async () => {
      const metadata = { node_metadatas: [{}] };
      await expect(fetch({ node_matchers: [metadata] })).rejects.toMatchObject({ code: status.INVALID_ARGUMENT });
      const regex = { node_id: { safe_regex: { regex: ".*" } } };
      await expect(fetch({ node_matchers: [regex] })).rejects.toMatchObject({ code: status.INVALID_ARGUMENT });
    });

    it("shows a caller only what he could be served himself", async () => {
      cache.set("default", createSnapshot([cluster("a")]));
      await Promise.all(["n", "other"].map((id) => subscribe(id).response(0)));
      expect(await fetch()).toHaveLength(2);
      refused = "not yours";
      expect((await fetch()).map(({ node }) => (node as ProtoObject).id)).toEqual(["n"]);
    });

    it("answers each request of a stream", async () => {
      const stream = new XdsStream(client, STREAM_STATUS_PATH, CSDS);
      stream.send({});
      await stream.response(0);
      cache.set("default", createSnapshot([cluster("a")]));
      await subscribe("n").response(0);
      stream.send({});
      expect((await stream.response(1)).config).toHaveLength(1);
      stream.close();
      await waitFor(() => stream.done, { timeoutMs: 5_000, what: "the end" });
    });
  });
});
