import { connect } from "node:http2";
import { Client, credentials, status } from "@grpc/grpc-js";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { waitFor } from "../../envoy/harness/wait-for.ts";
import { encode, type ProtoObject, TypeUrl } from "../../protos/index.ts";
import { AUTHORITY, ENVOY, ENVOY_SPIFFE_ID, ROTATED, SERVER } from "../../test/fixtures/tls/index.ts";
import { DELTA, SOTW, XdsStream } from "../../test/fixtures/xds-stream.ts";
import {
  createResource,
  createSnapshot,
  PUSH_ORDER,
  type Resource,
  type Snapshot,
  SnapshotCache,
  TYPE_NAMES,
} from "../cache/index.ts";
import { prefixed } from "../grpc/index.ts";
import { silentLogger } from "../log.ts";
import { ADS_DELTA_PATH, ADS_SOTW_PATH, DISCOVERY_METHODS, type DiscoveryMethod } from "./discovery-services.ts";
import { createMetrics, type ServerMetrics } from "./metrics.ts";
import { parseSpiffeRule, spiffeAuthorization } from "./spiffe-authorization.ts";
import { earlierRejections, nodeStatuses, StreamRegistry } from "./stream-registry.ts";
import { startXdsServer, type XdsServer, type XdsServerOptions } from "./xds-server.ts";

/** Streams of both variants and of every service over the wire. */

const NODE = { id: "n", cluster: "c" };
const METHODS = DISCOVERY_METHODS.map((method) => [method.path.slice("/envoy.service.".length), method] as const);

/** Bodies are not looked at: one resource per type, which need not make sense. */
const OBJECTS: Readonly<Record<TypeUrl, ProtoObject>> = {
  [TypeUrl.cluster]: { name: "x" },
  [TypeUrl.endpoints]: { cluster_name: "x" },
  [TypeUrl.secret]: { name: "x" },
  [TypeUrl.listener]: { name: "x" },
  [TypeUrl.scopedRoute]: { name: "x" },
  [TypeUrl.route]: { name: "x" },
  [TypeUrl.virtualHost]: { name: "x" },
  [TypeUrl.extensionConfig]: { name: "x" },
  [TypeUrl.runtime]: { name: "x" },
};

const everyType = (): Snapshot =>
  createSnapshot(PUSH_ORDER.map((typeUrl) => createResource(typeUrl, "x", OBJECTS[typeUrl])));
const cluster = (name: string, seconds = 1): Resource =>
  createResource(TypeUrl.cluster, name, { name, connect_timeout: { seconds } });

describe("discovery streams", () => {
  let cache: SnapshotCache;
  let registry: StreamRegistry;
  let metrics: ServerMetrics;
  let now: number;
  const toStop: (() => Promise<void> | void)[] = [];

  beforeEach(() => {
    cache = new SnapshotCache();
    registry = new StreamRegistry();
    metrics = createMetrics();
    now = 1_000_000;
  });
  afterEach(async () => {
    for (const stop of toStop.splice(0).reverse()) await stop();
  });

  async function start(options: XdsServerOptions = {}): Promise<XdsServer> {
    const server = await startXdsServer("127.0.0.1:0", {
      ...{ cache, registry, metrics, log: silentLogger, identifier: "test", now: () => now },
      options: { shutdownSpreadMs: 0, ...options },
    });
    toStop.push(() => server.close());
    return server;
  }

  function clientOf(server: XdsServer, channel = credentials.createInsecure()): Client {
    const address = server.address.replace("127.0.0.1", "localhost");
    const client = new Client(address, channel, { "grpc.use_local_subchannel_pool": 1 });
    toStop.push(() => client.close());
    return client;
  }

  const open = (client: Client, { path, variant }: Pick<DiscoveryMethod, "path" | "variant">) =>
    new XdsStream(client, path, variant === "sotw" ? SOTW : DELTA);
  const sotw = (client: Client) => open(client, { path: ADS_SOTW_PATH, variant: "sotw" });
  const delta = (client: Client) => open(client, { path: ADS_DELTA_PATH, variant: "delta" });
  const settled = () => nodeStatuses(registry, now).every((node) => node.settled);
  const list = (value: unknown) => value as readonly ProtoObject[];
  const metric = async (name: string) =>
    (await metrics.registry.metrics()).split("\n").filter((line) => line.startsWith(name));

  it.each(METHODS)("%s serves its types", async (_name, method) => {
    cache.set("default", everyType());
    const stream = open(clientOf(await start()), method);
    const typeUrl = method.onlyType ?? TypeUrl.endpoints;
    const names = method.variant === "sotw" ? { resource_names: ["x"] } : { resource_names_subscribe: ["x"] };
    // The type of a service that has one only need not be said.
    stream.send({ node: NODE, ...names, ...(method.onlyType === undefined ? { type_url: typeUrl } : {}) });
    const response = await stream.response(0);
    expect(response).toMatchObject({
      type_url: typeUrl,
      nonce: expect.stringMatching(/.+/),
      control_plane: { identifier: "test" },
    });
    expect(list(response.resources)).toHaveLength(1);
    stream.answer({ ...response, type_url: method.onlyType === undefined ? typeUrl : "" });
    await waitFor(settled, { timeoutMs: 5_000, what: "the ACK" });
    const type = TYPE_NAMES[typeUrl];
    expect(nodeStatuses(registry, now)).toMatchObject([
      { id: "n", variant: method.variant, service: method.service, types: { [type]: { state: "synced" } } },
    ]);
    expect(await metric("tokenmesh_xds_ack_seconds_count")).toEqual([
      `tokenmesh_xds_ack_seconds_count{type="${type}"} 1`,
    ]);
  });

  it.each(METHODS.filter(([, { onlyType }]) => onlyType !== undefined))(
    "%s refuses other types",
    async (_name, method) => {
      cache.set("default", everyType());
      const stream = open(clientOf(await start()), method);
      stream.send({ node: NODE, type_url: method.onlyType === TypeUrl.route ? TypeUrl.cluster : TypeUrl.route });
      expect((await stream.ended()).code).toBe(status.INVALID_ARGUMENT);
    },
  );

  it("delta sends what changed and what is gone, and nothing after a reconnect", async () => {
    cache.set("default", createSnapshot([cluster("a"), cluster("b")]));
    const client = clientOf(await start());
    const stream = delta(client);
    stream.send({ node: NODE, type_url: TypeUrl.cluster });
    const first = await stream.response(0);
    expect(list(first.resources)).toMatchObject([
      { name: "a", version: cluster("a").version, resource: { type_url: TypeUrl.cluster } },
      { name: "b" },
    ]);
    stream.answer(first);
    await waitFor(settled, { timeoutMs: 5_000, what: "the ACK" });
    cache.set("default", createSnapshot([cluster("a", 2)]));
    const second = await stream.response(1);
    expect(list(second.resources).map(({ name }) => name)).toEqual(["a"]);
    // A cluster goes when nothing names it any more.
    const removed = second.removed_resources ?? (await stream.response(2)).removed_resources;
    expect(removed).toEqual(["b"]);

    const again = delta(client);
    again.send({
      ...{ node: NODE, type_url: TypeUrl.cluster },
      initial_resource_versions: { a: cluster("a", 2).version },
    });
    again.send({ type_url: TypeUrl.endpoints, resource_names_subscribe: ["none"] });
    expect(await again.response(0)).toMatchObject({ type_url: TypeUrl.endpoints, removed_resources: ["none"] });
  });

  it("a rejection in delta is shown by resource, outlives the stream, and ends with an ACK", async () => {
    cache.set("default", createSnapshot([cluster("a"), cluster("b")]));
    const client = clientOf(await start());
    const stream = delta(client);
    stream.send({ node: NODE, type_url: TypeUrl.cluster });
    stream.answer(await stream.response(0), "cluster b is bad");
    await waitFor(() => registry.nacks.size === 1, { timeoutMs: 5_000, what: "the NACK" });
    const entry = { node: "n", type: "CDS", resource: "b", message: "cluster b is bad", code: 13, group: "default" };
    expect(registry.nacks.entries()).toMatchObject([entry]);
    await waitFor(() => registry.groupState("default").nacked === 1, { timeoutMs: 5_000, what: "the state" });
    stream.close();
    await waitFor(() => registry.size === 0, { timeoutMs: 5_000, what: "the end" });
    expect(registry.nacks.entries()).toMatchObject([entry]);
    const [since, at] = [new Date(now).toISOString(), now + 1_000];
    expect(earlierRejections(registry, at)).toMatchObject([
      { node: "n", type: "CDS", resources: ["b"], awaySince: since },
    ]);
    const again = delta(client);
    again.send({ node: NODE, type_url: TypeUrl.cluster });
    const response = await again.response(0);
    expect(earlierRejections(registry, at)[0]).not.toHaveProperty("awaySince");
    again.answer(response);
    await waitFor(() => registry.nacks.size === 0, { timeoutMs: 5_000, what: "the ACK" });
  });

  it("a group is by what a node says, is kept by its stream, and hears of its own changes only", async () => {
    cache.nodeHash = ({ metadata, locality }) => `${metadata.tier}/${locality.zone}`;
    for (const group of ["edge/z", "core/z"]) cache.set(group, createSnapshot([cluster(group)]));
    const server = await start();
    const nodeOf = (tier: string) => ({
      ...NODE,
      metadata: { fields: { tier: { stringValue: tier } } },
      locality: { zone: "z" },
    });
    const streams = ["edge", "core"].map((tier) => {
      const stream = sotw(clientOf(server));
      stream.send({ node: nodeOf(tier), type_url: TypeUrl.cluster });
      return stream;
    });
    const [edge, core] = streams as [XdsStream, XdsStream];
    for (const stream of streams) stream.answer(await stream.response(0));
    await waitFor(settled, { timeoutMs: 5_000, what: "both" });
    cache.nodeHash = () => "core/z";
    cache.set("edge/z", createSnapshot([cluster("edge/z", 2)]));
    await edge.response(1);
    expect(core.responses).toHaveLength(1);
    expect(registry.groupState("core/z")).toEqual({ streams: 1, accepted: 1, nacked: 0, behind: 0 });
    expect(registry.groupState("edge/z")).toMatchObject({ streams: 1, behind: 1 });
  });

  it("a node of a group that is not served is refused; the others are served", async () => {
    cache.nodeHash = ({ id }) => id;
    cache.set("known", createSnapshot([cluster("a")]));
    const client = clientOf(await start());
    const [known, unknown] = ["known", "unknown"].map((id) => {
      const stream = sotw(client);
      stream.send({ node: { id }, type_url: TypeUrl.cluster });
      return stream;
    }) as [XdsStream, XdsStream];
    expect((await unknown.ended()).code).toBe(status.UNAVAILABLE);
    await known.response(0);
  });

  it("tells when everybody in a group has accepted a snapshot", async () => {
    const snapshots = [createSnapshot([cluster("a")]), createSnapshot([cluster("a", 2)])];
    cache.set("default", snapshots[0] as Snapshot);
    const accepted: string[] = [];
    registry.onSettled((group, { version }) => accepted.push(`${group} ${version}`));
    const client = clientOf(await start());
    const [one, two] = [sotw(client), delta(client)];
    for (const stream of [one, two]) {
      stream.send({ node: NODE, type_url: TypeUrl.cluster });
      await stream.response(0);
    }
    one.answer(await one.response(0));
    await waitFor(() => registry.groupState("default").accepted === 1, { timeoutMs: 5_000, what: "the first ACK" });
    expect(accepted).toEqual([]);
    two.answer(await two.response(0));
    await waitFor(() => accepted.length > 0, { timeoutMs: 5_000, what: "the second ACK" });
    cache.set("default", snapshots[1] as Snapshot);
    expect(registry.groupState("default").behind).toBe(2);
    one.answer(await one.response(1));
    await two.response(1);
    await waitFor(() => registry.groupState("default").accepted === 1, { timeoutMs: 5_000, what: "the ACK of one" });
    expect(accepted).toHaveLength(1);
    // Whoever leaves does not hold the others up.
    two.close();
    await waitFor(() => accepted.length > 1, { timeoutMs: 5_000, what: "the rest" });
    expect(accepted).toEqual(snapshots.map(({ version }) => `default ${version}`));
  });

  it("a resource with a TTL is heard of again in time, without body, by clients that know TTLs", async () => {
    const withTtl = createResource(TypeUrl.runtime, "r", { name: "r" }, [], [], { ttlMs: 300 });
    cache.set("default", createSnapshot([withTtl]));
    const server = await startXdsServer("127.0.0.1:0", {
      ...{ cache, registry, metrics, log: silentLogger, identifier: "test", now: Date.now },
    });
    toStop.push(() => server.close());
    const client = clientOf(server);
    const subscribe = (features: readonly string[]) => {
      const stream = delta(client);
      const node = { ...NODE, client_features: features };
      stream.send({ node, type_url: TypeUrl.runtime, resource_names_subscribe: ["r"] });
      return stream;
    };
    const [knows, doesNot] = [subscribe(["xds.config.supports-resource-ttl"]), subscribe([])];
    const first = await knows.response(0);
    expect(list(first.resources)[0]).toMatchObject({ name: "r", ttl: { nanos: 300_000_000 }, resource: {} });
    knows.answer(first);
    doesNot.answer(await doesNot.response(0));
    for (const index of [1, 2]) {
      const beat = await knows.response(index);
      expect(list(beat.resources)).toMatchObject([{ name: "r", version: withTtl.version }]);
      expect(list(beat.resources)[0]?.resource).toBeUndefined();
      knows.answer(beat);
    }
    expect(doesNot.responses).toHaveLength(1);
  });

  it("a client that does not read holds one response in the buffer, not one per type", async () => {
    const big = "x".repeat(200_000);
    cache.set(
      "default",
      createSnapshot([
        createResource(TypeUrl.cluster, "c", { name: "c", alt_stat_name: big }),
        createResource(TypeUrl.listener, "l", { name: "l", stat_prefix: big }),
      ]),
    );
    const server = await start();
    const session = connect(`http://${server.address}`, { settings: { initialWindowSize: 1_000 } });
    toStop.push(() => session.destroy());
    const stream = session.request({
      ...{ ":method": "POST", ":path": ADS_SOTW_PATH, "content-type": "application/grpc", te: "trailers" },
    });
    stream.on("error", () => {}).pause();
    for (const type_url of [TypeUrl.cluster, TypeUrl.listener]) {
      stream.write(prefixed(encode(SOTW.request, { node: NODE, type_url })));
    }
    const pushes = () => metric("tokenmesh_xds_pushes_total");
    await waitFor(async () => (await pushes()).length > 0, { timeoutMs: 5_000, what: "the first push" });
    await waitFor(async () => (await metric("tokenmesh_xds_requests_total")).length === 2, {
      timeoutMs: 5_000,
      what: "both requests",
    });
    expect(await pushes()).toEqual(['tokenmesh_xds_pushes_total{type="CDS"} 1']);
    stream.resume();
    await waitFor(async () => (await pushes()).length === 2, { timeoutMs: 5_000, what: "the second push" });
  });

  it("a stream that is over leaves nothing behind in the cache", async () => {
    cache.set("default", createSnapshot([cluster("a")]));
    let watching = 0;
    const watch = cache.watch.bind(cache);
    cache.watch = (group, listener) => {
      watching++;
      const unwatch = watch(group, listener);
      return () => {
        watching--;
        unwatch();
      };
    };
    const stream = sotw(clientOf(await start()));
    stream.send({ node: NODE, type_url: TypeUrl.cluster });
    await stream.response(0);
    expect(watching).toBe(1);
    stream.close();
    await waitFor(() => watching === 0, { timeoutMs: 5_000, what: "the end" });
  });

  it("more new streams than may begin wait their turn; what would wait too long is refused", async () => {
    cache.set("default", createSnapshot([cluster("a")]));
    const client = clientOf(await start({ streamsPerSecond: 5, streamBurst: 2 }));
    const streams = Array.from({ length: 12 }, (_, index) => {
      const stream = sotw(client);
      stream.send({ node: { id: `n${index}` }, type_url: TypeUrl.cluster });
      return stream;
    });
    const done = () => streams.filter(({ responses, end }) => responses.length > 0 || end !== undefined);
    await waitFor(() => done().length === streams.length, { timeoutMs: 5_000, what: "all" });
    const refused = streams.filter(({ end }) => end !== undefined);
    expect(refused.every(({ end }) => end?.code === status.RESOURCE_EXHAUSTED)).toBe(true);
    expect(streams.length - refused.length).toBeGreaterThanOrEqual(7);
    expect(refused.length).toBeGreaterThanOrEqual(3);
    expect(await metric("tokenmesh_xds_streams_refused_total")).toEqual([
      `tokenmesh_xds_streams_refused_total{code="RESOURCE_EXHAUSTED"} ${refused.length}`,
    ]);
  });

  it("no more streams than allowed", async () => {
    cache.set("default", createSnapshot([cluster("a")]));
    const client = clientOf(await start({ maxStreams: 1 }));
    const first = sotw(client);
    first.send({ node: NODE, type_url: TypeUrl.cluster });
    await first.response(0);
    const second = sotw(client);
    second.send({ node: NODE, type_url: TypeUrl.cluster });
    expect((await second.ended()).code).toBe(status.RESOURCE_EXHAUSTED);
    first.close();
    await waitFor(() => registry.size === 0, { timeoutMs: 5_000, what: "the end" });
    const third = sotw(client);
    third.send({ node: NODE, type_url: TypeUrl.cluster });
    await third.response(0);
  });

  it("an old connection's streams end with OK", async () => {
    cache.set("default", createSnapshot([cluster("a")]));
    const stream = sotw(clientOf(await start({ maxConnectionAgeMs: 100 })));
    stream.send({ node: NODE, type_url: TypeUrl.cluster });
    await stream.response(0);
    await waitFor(() => stream.done, { timeoutMs: 5_000, what: "the end" });
    expect(stream.end).toBeUndefined();
    await waitFor(() => registry.size === 0, { timeoutMs: 5_000, what: "the stream to be forgotten" });
  });

  it("encodes a response once for all streams that get it alike", async () => {
    cache.set("default", createSnapshot(Array.from({ length: 50 }, (_, i) => cluster(`c${i}`))));
    const server = await start();
    const streams = Array.from({ length: 20 }, () => sotw(clientOf(server)));
    for (const stream of streams) stream.send({ node: NODE, type_url: TypeUrl.cluster });
    for (const stream of streams) expect(list((await stream.response(0)).resources)).toHaveLength(50);
    server.collect();
    const [kept] = await metric("tokenmesh_xds_shared_bytes ");
    const [pushed] = await metric('tokenmesh_xds_pushed_bytes_total{type="CDS"}');
    const numberIn = (line: string | undefined) => Number(line?.split(" ")[1]);
    expect(numberIn(pushed)).toBeGreaterThan(19.9 * numberIn(kept));
  });

  it("shows how far behind streams are", async () => {
    cache.set("default", createSnapshot([cluster("a")]));
    const server = await start();
    const stream = sotw(clientOf(server));
    stream.send({ node: NODE, type_url: TypeUrl.cluster });
    const response = await stream.response(0);
    now += 7_000;
    server.collect();
    expect(await metric("tokenmesh_xds_streams_behind{")).toEqual(['tokenmesh_xds_streams_behind{group="default"} 1']);
    expect(await metric("tokenmesh_xds_behind_seconds{")).toEqual(['tokenmesh_xds_behind_seconds{group="default"} 7']);
    expect(nodeStatuses(registry, now)[0]).toMatchObject({ settled: false, behindMs: 7_000 });
    stream.answer(response);
    await waitFor(settled, { timeoutMs: 5_000, what: "the ACK" });
    server.collect();
    expect(await metric("tokenmesh_xds_streams_behind{")).toEqual(['tokenmesh_xds_streams_behind{group="default"} 0']);
    expect(await metric("tokenmesh_xds_connections ")).toEqual(["tokenmesh_xds_connections 1"]);
    expect(await metric("tokenmesh_xds_streams{")).toContain(
      'tokenmesh_xds_streams{variant="sotw",service="ADS",group="default"} 1',
    );
  });

  describe("with certificates of clients", () => {
    const secure = ({ cert, key }: { cert: string; key: string }) =>
      credentials.createSsl(Buffer.from(AUTHORITY), Buffer.from(key), Buffer.from(cert));
    const tls = { ...SERVER, clientCa: AUTHORITY };

    it("the SPIFFE id decides which groups a client is served", async () => {
      cache.nodeHash = ({ id }) => id;
      for (const group of ["edge", "core"]) cache.set(group, createSnapshot([cluster(group)]));
      const authorize = spiffeAuthorization([parseSpiffeRule(`${ENVOY_SPIFFE_ID}=edge`)]);
      const client = clientOf(await start({ tls, authorize }), secure(ENVOY));
      const [edge, core] = ["edge", "core"].map((id) => {
        const stream = delta(client);
        stream.send({ node: { id }, type_url: TypeUrl.cluster });
        return stream;
      }) as [XdsStream, XdsStream];
      await edge.response(0);
      expect(await core.ended()).toMatchObject({
        code: status.PERMISSION_DENIED,
        details: `${ENVOY_SPIFFE_ID} may not be served node group core`,
      });
      expect(nodeStatuses(registry, now)).toMatchObject([{ id: "edge", spiffeId: ENVOY_SPIFFE_ID }]);
    });

    it("a client without certificate gets no stream", async () => {
      cache.set("default", createSnapshot([cluster("a")]));
      const stream = sotw(clientOf(await start({ tls }), credentials.createSsl(Buffer.from(AUTHORITY))));
      stream.send({ node: NODE, type_url: TypeUrl.cluster });
      expect((await stream.ended()).code).toBe(status.UNAVAILABLE);
      expect((await metric("tokenmesh_xds_streams_refused_total"))[0]).toContain('code="TLS"');
    });

    it("certificates that do not fit are refused, and the old ones stay", async () => {
      const mixed = { cert: SERVER.cert, key: ROTATED.key };
      await expect(start({ tls: mixed })).rejects.toThrow("TM_TLS_INVALID");
      await expect(start({ tls: { ...SERVER, clientCa: "no PEM" } })).rejects.toThrow("TM_TLS_INVALID");
      const server = await start({ tls });
      expect(() => server.setTls(mixed)).toThrow("TM_TLS_INVALID");
      cache.set("default", createSnapshot([cluster("a")]));
      const stream = sotw(clientOf(server, secure(ENVOY)));
      stream.send({ node: NODE, type_url: TypeUrl.cluster });
      await stream.response(0);
    });
  });
});
