import { Client, type ClientDuplexStream, credentials, Metadata, type ServiceError, status } from "@grpc/grpc-js";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { waitFor } from "../../envoy/harness/wait-for.ts";
import { decode, encode, type ProtoObject, TypeUrl } from "../../protos/index.ts";
import { createResource, createSnapshot, type Snapshot, SnapshotCache } from "../cache/index.ts";
import { splitAddress } from "../grpc/index.ts";
import { silentLogger } from "../log.ts";
import { ADS_SOTW_PATH } from "./discovery-services.ts";
import { createMetrics, type ServerMetrics } from "./metrics.ts";
import { nodeStatuses, openNacks, StreamRegistry } from "./stream-registry.ts";
import { startXdsServer, type XdsServer } from "./xds-server.ts";

/** The server over a real gRPC connection, against a client that is not Envoy. */

const REQUEST = "envoy.service.discovery.v3.DiscoveryRequest";
const RESPONSE = "envoy.service.discovery.v3.DiscoveryResponse";
const pass = (bytes: Buffer): Buffer => bytes;

class TestStream {
  readonly responses: ProtoObject[] = [];
  end: ServiceError | undefined;
  readonly #call: ClientDuplexStream<Buffer, Buffer>;

  constructor(client: Client, metadata = new Metadata()) {
    this.#call = client.makeBidiStreamRequest(ADS_SOTW_PATH, pass, pass, metadata);
    this.#call.on("data", (bytes: Buffer) => this.responses.push(decode(RESPONSE, bytes)));
    this.#call.on("error", (error: ServiceError) => {
      this.end = error;
    });
  }

  send(request: ProtoObject): void {
    this.#call.write(Buffer.from(encode(REQUEST, request)));
  }

  sendBytes(bytes: Uint8Array): void {
    this.#call.write(Buffer.from(bytes));
  }

  close(): void {
    this.#call.end();
  }

  pause(): void {
    this.#call.pause();
  }

  async response(index: number): Promise<ProtoObject> {
    await waitFor(() => this.responses.length > index, { timeoutMs: 5_000, what: `response ${index}` });
    return this.responses[index] ?? {};
  }

  async ended(): Promise<ServiceError> {
    await waitFor(() => this.end !== undefined, { timeoutMs: 5_000, what: "the end of the stream" });
    if (this.end === undefined) throw new Error("not ended");
    return this.end;
  }
}

const NODE = { id: "n1", cluster: "c" };

function clusters(...names: readonly string[]): Snapshot {
  return createSnapshot(names.map((name) => createResource(TypeUrl.cluster, name, { name, type: "STATIC" })));
}

describe("ADS server", () => {
  let cache: SnapshotCache;
  let registry: StreamRegistry;
  let metrics: ServerMetrics;
  let server: XdsServer;
  let client: Client;

  beforeEach(async () => {
    cache = new SnapshotCache();
    registry = new StreamRegistry();
    metrics = createMetrics();
    server = await startXdsServer("127.0.0.1:0", {
      cache,
      registry,
      metrics,
      log: silentLogger,
      identifier: "test",
      now: () => 5_000,
    });
    client = new Client(server.address, credentials.createInsecure());
  });
  afterEach(async () => {
    client.close();
    await server.close();
  });

  const open = () => new TestStream(client);
  const names = (response: ProtoObject) => (Array.isArray(response.resources) ? response.resources.length : 0);

  it("answers with the resources, a version, a nonce and its name", async () => {
    cache.set("default", clusters("a", "b"));
    const stream = open();
    stream.send({ node: NODE, type_url: TypeUrl.cluster });
    const response = await stream.response(0);
    expect(names(response)).toBe(2);
    expect(response).toMatchObject({
      type_url: TypeUrl.cluster,
      version_info: cache.get("default")?.types.get(TypeUrl.cluster)?.version,
      nonce: expect.stringMatching(/.+/),
      control_plane: { identifier: "test" },
    });
    const [first] = response.resources as readonly { type_url: string; value: Uint8Array }[];
    expect(decode("envoy.config.cluster.v3.Cluster", first?.value ?? new Uint8Array())).toMatchObject({ name: "a" });
  });

  it("pushes changes to every stream of the group; two streams of one node are independent", async () => {
    cache.set("default", clusters("a"));
    const [one, two] = [open(), open()];
    for (const stream of [one, two]) stream.send({ node: NODE, type_url: TypeUrl.cluster });
    const [first] = await Promise.all([one.response(0), two.response(0)]);
    expect(registry.size).toBe(2);
    one.send({ type_url: TypeUrl.cluster, response_nonce: first.nonce, version_info: first.version_info });
    await waitFor(() => nodeStatuses(registry).some(({ types }) => types.CDS?.state === "synced"), {
      timeoutMs: 5_000,
      what: "the ACK",
    });
    cache.set("default", clusters("a", "b"));
    expect(names(await one.response(1))).toBe(2);
    expect(two.responses).toHaveLength(1);
  });

  it("shows a NACK in the registry and the metrics, until the ACK of a good version", async () => {
    cache.set("default", clusters("a"));
    const stream = open();
    stream.send({ node: NODE, type_url: TypeUrl.cluster });
    const { nonce } = await stream.response(0);
    stream.send({
      type_url: TypeUrl.cluster,
      response_nonce: nonce,
      error_detail: { code: 13, message: "cluster a: bad" },
    });
    await waitFor(() => openNacks(registry) === 1, { timeoutMs: 5_000, what: "the NACK" });
    expect(nodeStatuses(registry)[0]).toMatchObject({
      id: "n1",
      types: {
        CDS: {
          state: "nacked",
          nack: { resources: ["a"], code: 13, message: "cluster a: bad", at: new Date(5_000).toISOString() },
        },
      },
    });
    expect(await metrics.registry.metrics()).toContain('tokenmesh_xds_nacks_total{type="CDS"} 1');
    expect(stream.responses).toHaveLength(1);
    cache.set("default", clusters("b"));
    const next = await stream.response(1);
    stream.send({ type_url: TypeUrl.cluster, response_nonce: next.nonce, version_info: next.version_info });
    await waitFor(() => openNacks(registry) === 0, { timeoutMs: 5_000, what: "the ACK" });
  });

  it("refuses streams with UNAVAILABLE until there is a configuration", async () => {
    const stream = open();
    stream.send({ node: NODE, type_url: TypeUrl.cluster });
    expect((await stream.ended()).code).toBe(status.UNAVAILABLE);
    expect(stream.responses).toEqual([]);
  });

  it.each([
    ["no node on the first request", { type_url: TypeUrl.cluster }, status.INVALID_ARGUMENT],
    ["a node without id", { node: { cluster: "c" }, type_url: TypeUrl.cluster }, status.INVALID_ARGUMENT],
    [
      "a node id that is too long",
      { node: { id: "x".repeat(1_000) }, type_url: TypeUrl.cluster },
      status.INVALID_ARGUMENT,
    ],
    ["no type_url", { node: NODE }, status.INVALID_ARGUMENT],
    ["a message that is too large", { node: NODE, type_url: "x".repeat(5 * 1024 * 1024) }, status.RESOURCE_EXHAUSTED],
    [
      "too many names",
      { node: NODE, type_url: TypeUrl.endpoints, resource_names: Array.from({ length: 20_001 }, (_, i) => `${i}`) },
      status.RESOURCE_EXHAUSTED,
    ],
  ] as const)("ends a stream with %s", async (_what, request, code) => {
    cache.set("default", clusters("a"));
    const stream = open();
    stream.send(request);
    expect((await stream.ended()).code).toBe(code);
    await waitFor(() => registry.size === 0, { timeoutMs: 5_000, what: "the stream to be forgotten" });
  });

  it("ends a stream with bytes that are no request, and serves the next one", async () => {
    cache.set("default", clusters("a"));
    const bad = open();
    bad.sendBytes(Buffer.from([0x0a, 0xff, 0xff, 0xff, 0xff, 0x0f]));
    expect((await bad.ended()).code).toBe(status.INVALID_ARGUMENT);
    const good = open();
    good.send({ node: NODE, type_url: TypeUrl.cluster });
    await good.response(0);
  });

  it("forgets a client that leaves", async () => {
    cache.set("default", clusters("a"));
    const stream = open();
    stream.send({ node: NODE, type_url: TypeUrl.cluster });
    await stream.response(0);
    stream.close();
    await waitFor(() => registry.size === 0, { timeoutMs: 5_000, what: "the stream to be forgotten" });
    expect(await metrics.registry.metrics()).toContain(
      'tokenmesh_xds_streams{variant="sotw",service="ADS",group="default"} 0',
    );
  });

  it("a client that does not read holds up nobody and gets one response however often things change", async () => {
    cache.set("default", clusters("a"));
    const [stuck, fine] = [open(), open()];
    stuck.send({ node: NODE, type_url: TypeUrl.cluster });
    stuck.pause();
    fine.send({ node: { id: "n2" }, type_url: TypeUrl.cluster });
    await fine.response(0);
    for (let round = 0; round < 20; round++) {
      const { nonce } = await fine.response(round);
      fine.send({ type_url: TypeUrl.cluster, response_nonce: nonce });
      cache.set("default", clusters(`r${round}`));
      await fine.response(round + 1);
    }
    const sample = (await metrics.registry.metrics()).match(/tokenmesh_xds_pushes_total\{type="CDS"\} (\d+)/)?.[1];
    expect(Number(sample)).toBe(21 + 1);
  });

  it("ends streams with UNAVAILABLE when it closes, within a bounded time", async () => {
    cache.set("default", clusters("a"));
    const stream = open();
    stream.send({ node: NODE, type_url: TypeUrl.cluster });
    await stream.response(0);
    const start = performance.now();
    await server.close();
    expect(performance.now() - start).toBeLessThan(4_000);
    expect((await stream.ended()).code).toBe(status.UNAVAILABLE);
  });

  it("says which address it cannot bind", async () => {
    const context = { cache, registry, metrics, log: silentLogger, identifier: "test", now: () => 0 };
    await expect(startXdsServer(server.address, context)).rejects.toThrow(`cannot listen on ${server.address}`);
    expect(() => splitAddress("nonsense")).toThrow("not HOST:PORT");
    expect(splitAddress("[::1]:80")).toEqual({ host: "[::1]", port: 80 });
  });
});
