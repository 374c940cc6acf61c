import { Client, credentials, status } from "@grpc/grpc-js";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { waitFor } from "../../envoy/harness/wait-for.ts";
import { decode, type ProtoObject, TypeUrl } from "../../protos/index.ts";
import { DELTA, SOTW, XdsStream } from "../../test/fixtures/xds-stream.ts";
import { createResource, createSnapshot, type Snapshot, SnapshotCache } from "../cache/index.ts";
import { silentLogger } from "../log.ts";
import { FETCH_STATUS_PATH } from "./client-status.ts";
import { DISCOVERY_METHODS, type DiscoveryMethod } from "./discovery-services.ts";
import { createMetrics, type ServerMetrics } from "./metrics.ts";
import type { Authorize } from "./stream-context.ts";
import { nodeStatuses, StreamRegistry } from "./stream-registry.ts";
import { startXdsServer } from "./xds-server.ts";

/** A node says other dynamic parameters than before: it goes to another group while its stream stays. */

const NODE = { id: "n", cluster: "c" };
const SERVICES = DISCOVERY_METHODS.filter(({ service }) => service === "ADS" || service === "CDS").map(
  (method) => [`${method.variant} ${method.service}`, method] as const,
);
const CDS = TypeUrl.cluster;

const withShard = (shard: string, typeUrl: string = CDS): ProtoObject => ({
  ...NODE,
  dynamic_parameters: { [typeUrl]: { params: { shard } } },
});

/** `a@1`: cluster a with a connect_timeout of 1 s. */
function clusters(...texts: readonly string[]): Snapshot {
  const resources = texts.map((text) => {
    const [name = "", seconds] = text.split("@");
    return createResource(CDS, name, { name, connect_timeout: { seconds: Number(seconds) } });
  });
  return createSnapshot(resources);
}

/** What a response says there is (SotW) or brings and takes away (delta). */
function contents({ resources, removed_resources }: ProtoObject): readonly string[] {
  const came = (resources as readonly (ProtoObject & { value?: Uint8Array })[]).map(({ name, resource, value }) => {
    if (name !== undefined) return `${name}@${secondsOf((resource as { value: Uint8Array }).value)}`;
    const bytes = value ?? new Uint8Array();
    return `${decode("envoy.config.cluster.v3.Cluster", bytes).name}@${secondsOf(bytes)}`;
  });
  return [...came.sort(), ...((removed_resources ?? []) as readonly string[]).map((name) => `-${name}`)];
}

function secondsOf(cluster: Uint8Array): number {
  const { seconds } = decode("envoy.config.cluster.v3.Cluster", cluster).connect_timeout as { seconds: unknown };
  return Number(seconds);
}

describe("a node's dynamic parameters", () => {
  let cache: SnapshotCache;
  let registry: StreamRegistry;
  let metrics: ServerMetrics;
  let authorize: Authorize;
  let client: Client;
  let connections: number;
  const toStop: (() => Promise<void> | void)[] = [];

  beforeEach(async () => {
    cache = new SnapshotCache(({ dynamicParameters }, onlyType) => {
      const types = onlyType === undefined ? Object.values(dynamicParameters) : [dynamicParameters[onlyType]];
      return types.find((params) => params?.shard !== undefined)?.shard ?? "default";
    });
    cache.set("default", clusters("a@1", "b@1"));
    cache.set("blue", clusters("b@1", "c@1"));
    registry = new StreamRegistry();
    connections = 0;
    registry.watch(({ kind }) => {
      if (kind === "connected") connections++;
    });
    metrics = createMetrics();
    authorize = () => undefined;
    const server = await startXdsServer("127.0.0.1:0", {
      ...{ cache, registry, metrics, log: silentLogger, identifier: "test", now: () => 1_000_000 },
      options: { shutdownSpreadMs: 0, authorize: (peer, node, group) => authorize(peer, node, group) },
    });
    client = new Client(server.address, credentials.createInsecure(), { "grpc.use_local_subchannel_pool": 1 });
    toStop.push(
      () => server.close(),
      () => client.close(),
    );
  });
  afterEach(async () => {
    for (const stop of toStop.splice(0).reverse()) await stop();
  });

  const open = ({ path, variant }: DiscoveryMethod) => new XdsStream(client, path, variant === "sotw" ? SOTW : DELTA);
  const until = (done: () => boolean, what: string) => waitFor(done, { timeoutMs: 5_000, what });
  const [settled, group] = [
    () => nodeStatuses(registry).every((node) => node.settled),
    () => nodeStatuses(registry).map((node) => node.group),
  ];
  const counted = async () =>
    (await metrics.registry.metrics())
      .split("\n")
      .filter((line) => /^tokenmesh_xds_streams\{.*[^0]$/.test(line))
      .map((line) => /group="(\w*)"/.exec(line)?.[1]);

  /** A stream that has accepted what its node's first group is served. */
  async function connected(method: DiscoveryMethod, node: ProtoObject = NODE): Promise<XdsStream> {
    const stream = open(method);
    stream.send({ node, type_url: CDS });
    stream.answer(await stream.response(0));
    await until(settled, "the first ACK");
    return stream;
  }

  describe.each(SERVICES)("%s", (_name, method) => {
    it("choose the group of a stream when it begins", async () => {
      const stream = await connected(method, withShard("blue"));
      expect(contents(stream.responses[0] ?? {})).toEqual(["b@1", "c@1"]);
      expect(nodeStatuses(registry)).toMatchObject([
        { group: "blue", dynamicParameters: { [CDS]: { shard: "blue" } }, settled: true },
      ]);
    });

    it("move it to another group, which is served from then on, on the same stream", async () => {
      const stream = await connected(method);
      stream.send({ node: withShard("blue"), type_url: CDS });
      const response = await stream.response(1);
      expect(contents(response)).toEqual(method.variant === "sotw" ? ["b@1", "c@1"] : ["c@1", "-a"]);
      expect(registry.groupState("blue")).toEqual({ streams: 1, accepted: 0, nacked: 0, behind: 1 });
      expect(registry.groupState("default")).toEqual({ streams: 0, accepted: 0, nacked: 0, behind: 0 });
      stream.answer(response);
      await until(settled, "the ACK");
      expect(registry.groupState("blue")).toMatchObject({ accepted: 1 });
      expect([group(), await counted(), connections]).toEqual([["blue"], ["blue"], 1]);
      cache.set("blue", clusters("b@2", "c@1"));
      cache.set("default", clusters("a@9"));
      const next = await stream.response(2);
      expect(contents(next)).toEqual(method.variant === "sotw" ? ["b@2", "c@1"] : ["b@2"]);
      stream.answer(next);
      // Back again, and by saying nothing of them.
      stream.send({ node: NODE, type_url: CDS });
      expect(contents(await stream.response(3))).toEqual(method.variant === "sotw" ? ["a@9"] : ["a@9", "-b", "-c"]);
      expect(nodeStatuses(registry)[0]).not.toHaveProperty("dynamicParameters");
      stream.close();
      await until(() => registry.size === 0, "the end");
      expect(registry.groupState("blue")).toEqual({ streams: 0, accepted: 0, nacked: 0, behind: 0 });
    });

    it("that are the same send nothing, nor do others of the same group", async () => {
      const node = (params: ProtoObject) => ({ ...NODE, dynamic_parameters: { [CDS]: { params } } });
      const stream = await connected(method, node({ shard: "blue", x: "1" }));
      for (const params of [
        { x: "1", shard: "blue" },
        { shard: "blue", x: "2" },
      ])
        stream.send({ node: node(params), type_url: CDS });
      await until(() => nodeStatuses(registry)[0]?.dynamicParameters?.[CDS]?.x === "2", "the parameters");
      cache.set("blue", clusters("d@1"));
      expect(contents(await stream.response(1))).toContain("d@1");
      expect(stream.responses).toHaveLength(2);
    });

    it("are asked about again: a group that the client may not be served ends the stream", async () => {
      const asked: string[] = [];
      authorize = (_peer, { dynamicParameters }, to) => {
        asked.push(`${dynamicParameters[CDS]?.shard} ${to}`);
        return to === "default" ? undefined : `not ${to}`;
      };
      const stream = await connected(method);
      stream.send({ node: withShard("blue"), type_url: CDS });
      expect(await stream.ended()).toMatchObject({ code: status.PERMISSION_DENIED, details: "not blue" });
      expect([asked, stream.responses.length]).toEqual([["undefined default", "blue blue"], 1]);
      await until(() => registry.size === 0, "the end");
      expect([registry.groupState("default").streams, await counted()]).toEqual([0, []]);
    });

    it("of a group that is not served end the stream with UNAVAILABLE: the client keeps what it has", async () => {
      const stream = await connected(method);
      stream.send({ node: withShard("nobody"), type_url: CDS });
      expect((await stream.ended()).code).toBe(status.UNAVAILABLE);
      await until(() => registry.size === 0, "the end");
    });

    it("that move a stream leave the others of its group alone, who no longer wait for it", async () => {
      const [moves, stays] = [await connected(method), await connected(method)];
      const accepted: string[] = [];
      registry.onSettled((name) => accepted.push(name));
      cache.set("default", clusters("a@2"));
      await moves.response(1);
      stays.answer(await stays.response(1));
      await until(() => registry.groupState("default").accepted === 1, "the ACK");
      expect(accepted).toEqual([]);
      moves.send({ node: withShard("blue"), type_url: CDS });
      await until(() => accepted.length > 0, "the rest");
      expect([accepted, group().sort(), stays.responses.length]).toEqual([["default"], ["blue", "default"], 2]);
    });

    it("of a node that names itself otherwise change nothing else of it", async () => {
      const stream = await connected(method);
      stream.send({ node: { ...withShard("blue"), id: "other", cluster: "other" }, type_url: CDS });
      await stream.response(1);
      expect(nodeStatuses(registry)).toMatchObject([{ id: "n", cluster: "c", group: "blue" }]);
    });

    it("of another type count where there are streams of all types", async () => {
      await connected(method, withShard("blue", TypeUrl.listener));
      expect(group()).toEqual([method.onlyType === undefined ? "blue" : "default"]);
    });

    it("that are too many end the stream", async () => {
      const stream = await connected(method);
      stream.send({ node: withShard("x".repeat(20_000)), type_url: CDS });
      expect((await stream.ended()).code).toBe(status.INVALID_ARGUMENT);
    });
  });

  it("come with the request of whatever type on an aggregated stream, and all of it moves", async () => {
    const [name, method] = SERVICES[0] ?? [];
    if (method === undefined) throw new Error(`${name}`);
    const stream = await connected(method);
    stream.send({ type_url: TypeUrl.listener });
    stream.answer(await stream.response(1));
    stream.send({ node: withShard("blue"), type_url: TypeUrl.listener, resource_names: [] });
    expect(contents(await stream.response(2))).toEqual(["b@1", "c@1"]);
  });

  it("are shown by the client status service", async () => {
    const [, method] = SERVICES[0] ?? [];
    if (method === undefined) throw new Error("no method");
    await connected(method, withShard("blue"));
    const answer = await new Promise<Buffer>((resolve, reject) => {
      const pass = (bytes: Buffer) => bytes;
      client.makeUnaryRequest(FETCH_STATUS_PATH, pass, pass, Buffer.alloc(0), (error, value) =>
        error === null && value !== undefined ? resolve(value) : reject(error),
      );
    });
    expect(decode("envoy.service.status.v3.ClientStatusResponse", answer)).toMatchObject({
      config: [{ node: { id: "n", dynamic_parameters: { [CDS]: { params: { shard: "blue" } } } } }],
    });
  });
});
