import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Client, credentials, Metadata, type ServiceError, status } from "@grpc/grpc-js";
import protobuf from "protobufjs";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { waitFor } from "../../../envoy/harness/index.ts";
import { type Replica, startReplica } from "../../../envoy/replica/index.ts";
import { type RunningServer, startServer } from "../../index.ts";
import { type LogFields, silentLogger } from "../../log.ts";
import { FETCH_PATH } from "./protocol.ts";

/** The service as a filter sees it: a server with a configuration folder, replicas behind it, a gRPC client that knows the messages from their definition. */

const { root } = protobuf.parse(
  `
  syntax = "proto3";
  message FetchRequest { string pool = 1; }
  message Loads { repeated EndpointLoad endpoints = 1; }
  message EndpointLoad {
    string address = 1; uint32 age_ms = 2; uint32 waiting = 3; uint32 running = 4; uint32 kv_permille = 5; uint32 block_tokens = 6;
    uint32 blocks = 7; repeated string active_adapters = 8; repeated string waiting_adapters = 9; uint32 max_adapters = 10; bool unknown = 11;
  }`,
  { keepCase: true },
);

interface Load {
  readonly address: string;
  readonly unknown?: boolean;
  readonly age_ms?: number;
  readonly block_tokens?: number;
}

let dir: string;
let wasmDir: string;
let replicas: Replica[];
let server: RunningServer;
let client: Client;
const logged: { readonly message: string; readonly fields: LogFields | undefined }[] = [];

const entry = (name: string, ...ports: readonly number[]) => `
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: ${name}}
spec:
  hosts: [${name}.test]
  ports: [{number: 80, name: http, protocol: HTTP}]
  resolution: STATIC
  endpoints: [${ports.map((port) => `{address: 127.0.0.1, ports: {http: ${port}}}`).join()}]
---`;
const picker = (name: string, pools: string, more = "") => `
apiVersion: tokenmesh.io/v1alpha1
kind: EndpointPicker
metadata: {name: ${name}}
spec: {pools: [${pools}]${more}}
---`;
const ports = () => replicas.map(({ port }) => port);
const addresses = () => ports().map((port) => `127.0.0.1:${port}`);
const services = () => entry("one", ...ports().slice(0, 2)) + entry("two", ...ports().slice(1));

beforeEach(async () => {
  dir = mkdtempSync(join(tmpdir(), "tokenmesh-loads-"));
  wasmDir = mkdtempSync(join(tmpdir(), "tokenmesh-wasm-"));
  for (const code of ["hash-ring", "llm-gateway"]) writeFileSync(join(wasmDir, `${code}.wasm`), "no code");
  replicas = await Promise.all(["a", "b", "c"].map((name) => startReplica({ name, models: ["m"] })));
  logged.length = 0;
});
afterEach(async () => {
  client.close();
  await server.close();
  for (const replica of replicas) await replica.close();
  for (const each of [dir, wasmDir]) rmSync(each, { recursive: true, force: true });
});

async function start(text: string, more: { readonly xds?: string; readonly advertise?: string } = {}): Promise<void> {
  writeFileSync(join(dir, "a.yaml"), text);
  const log = (_level: string, message: string, fields?: LogFields) => void logged.push({ message, fields });
  server = await startServer({ configDir: dir, wasmDir, log, ...more });
  expect(server.configErrors()).toEqual([]);
  client = new Client(server.xdsAddress.replace("0.0.0.0", "127.0.0.1"), credentials.createInsecure());
}

function call(bytes: Uint8Array): Promise<Buffer> {
  const pass = (message: Buffer) => message;
  return new Promise((resolve, reject) => {
    const options = { deadline: Date.now() + 5_000 };
    client.makeUnaryRequest(FETCH_PATH, pass, pass, Buffer.from(bytes), new Metadata(), options, (error, reply) => {
      if (error !== null || reply === undefined) reject(error);
      else resolve(reply);
    });
  });
}

async function fetchPool(pool: string): Promise<readonly Load[]> {
  const reply = await call(root.lookupType("FetchRequest").encode({ pool }).finish());
  const type = root.lookupType("Loads");
  return (type.toObject(type.decode(reply)) as { endpoints?: Load[] }).endpoints ?? [];
}

const codeOf = (asked: Promise<unknown>) =>
  asked.then(
    () => status.OK,
    (error: ServiceError) => error.code,
  );

/** Until the loads of all endpoints of the pool are known. */
async function known(pool: string): Promise<readonly Load[]> {
  let loads: readonly Load[] = [];
  const all = async () => {
    loads = await fetchPool(pool);
    return loads.every(({ unknown }) => unknown !== true);
  };
  await waitFor(all, { timeoutMs: 5_000, what: "loads" });
  return loads;
}

const api = async (path: string) => (await fetch(`http://${server.apiAddress}${path}`)).text();

describe("Fetch", () => {
  it("knows nothing at first, and then the loads of a pool's endpoints, by address", async () => {
    await start(services() + picker("p", "{name: main, host: one.test}"));
    const [a = "", b = ""] = addresses();
    expect(await fetchPool("main")).toEqual([a, b].map((address) => ({ address, unknown: true })));
    const loads = await known("main");
    expect(loads.map(({ address }) => address)).toEqual([a, b]);
    for (const load of loads)
      expect(load).toMatchObject({ block_tokens: expect.any(Number), blocks: expect.any(Number) });
    expect(await api("/metrics")).toMatch(/^tokenmesh_loads_endpoints\{state="known"\} 2$/m);
  });

  it("of a pool that there is not is NOT_FOUND; of nothing, and of what is no request, INVALID_ARGUMENT", async () => {
    await start(
      services() +
        picker("p", "{name: main, host: one.test}") +
        picker("quiet", "{name: silent, host: two.test}", ", feed: false"),
    );
    expect(await codeOf(fetchPool("other"))).toBe(status.NOT_FOUND);
    expect(await codeOf(fetchPool("silent"))).toBe(status.NOT_FOUND);
    for (const bytes of [[], [0x0a], [0x0a, 0x7f, 0x61], [0xff, 0xff], new Array(2_000).fill(0x0b), [0x0a, 0x00]])
      expect(await codeOf(call(Uint8Array.from(bytes)))).toBe(status.INVALID_ARGUMENT);
    const metrics = await api("/metrics");
    expect(metrics).toMatch(/^tokenmesh_loads_requests_total\{result="unknown_pool"\} 2$/m);
    expect(metrics).toMatch(/^tokenmesh_loads_requests_total\{result="malformed"\} 6$/m);
  });

  it("pools of one name in two documents are answered together", async () => {
    const pool = (host: string) => `{name: main, host: ${host}.test}`;
    await start(services() + picker("p", pool("one")) + picker("q", pool("two")));
    expect((await fetchPool("main")).map(({ address }) => address)).toEqual(addresses());
  });

  it("an endpoint that fails says nothing; the others are known", async () => {
    await start(
      services() + picker("p", "{name: other, host: two.test, match: {stream: true}}, {name: main, host: one.test}"),
    );
    await replicas[1]?.close();
    const [a = "", b = ""] = addresses();
    await waitFor(async () => (await fetchPool("main"))[0]?.unknown === undefined, { what: "the load of the first" });
    expect((await fetchPool("main"))[1]).toEqual({ address: b, unknown: true });
    const view = JSON.parse(await api("/loads"));
    expect(view.pools.main).toEqual([
      expect.objectContaining({ address: a, known: true, ageMs: expect.any(Number), waiting: 0 }),
      { address: b, known: false, ageMs: null, fault: { reason: "unreachable", message: expect.any(String) } },
    ]);
    expect(Object.keys(view.pools)).toEqual(["other", "main"]);
  });

  it("follows the files: endpoints that are new are asked, those that stay are known", async () => {
    await start(entry("one", ...ports().slice(0, 1)) + picker("p", "{name: main, host: one.test}"));
    await known("main");
    writeFileSync(join(dir, "a.yaml"), entry("one", ...ports()) + picker("p", "{name: main, host: one.test}"));
    server.reload();
    const [first, ...others] = await fetchPool("main");
    expect([first?.unknown, others.map(({ unknown }) => unknown)]).toEqual([undefined, [true, true]]);
    expect(await known("main")).toHaveLength(3);
  });
});

describe("the cluster by which filters ask", () => {
  const cluster = async () => {
    const { snapshot } = JSON.parse(await api("/snapshot"));
    const found = snapshot.types.CDS.resources.find(({ name }: { name: string }) => name === "tokenmesh-loads");
    return found === undefined
      ? undefined
      : /"address":"([^"]*)","port_value":(\d+)/.exec(JSON.stringify(found))?.slice(1).join(":");
  };
  const picking = () => services() + picker("p", "{name: main, host: one.test}");
  const warned = () => logged.some(({ message }) => message.includes("at which address"));

  it("is the server itself", async () => {
    await start(picking());
    expect(await cluster()).toBe(server.xdsAddress);
    expect(await api("/snapshot")).toContain(
      '\\"feed\\":{\\"cluster\\":\\"tokenmesh-loads\\",\\"intervalMs\\":250,\\"maxAgeMs\\":1000}',
    );
    expect(warned()).toBe(false);
  });

  it("is not there where nobody knows its address, which is said; an advertised one takes its place", async () => {
    await start(picking(), { xds: "0.0.0.0:0" });
    expect(await cluster()).toBeUndefined();
    expect(await api("/snapshot")).not.toContain("feed");
    expect(warned()).toBe(true);
    client.close();
    await server.close();
    await start(picking(), { xds: "0.0.0.0:0", advertise: "[2001:db8::7]:18000" });
    expect(await cluster()).toBe("2001:db8::7:18000");
    client.close();
    await server.close();
    await start(picking(), { advertise: "tokenmesh.ns.svc:18000" });
    expect(await cluster()).toBe("tokenmesh.ns.svc:18000");
  });

  it("is not there without need: no picker, a feed that is off, a service that Envoy resolves", async () => {
    await start(services());
    expect(await cluster()).toBeUndefined();
    const dns = `${services()}${entry("three").replace("STATIC", "DNS")}`;
    for (const text of [
      services() + picker("p", "{name: main, host: one.test}", ", feed: false"),
      dns + picker("p", "{name: main, host: three.test}"),
    ]) {
      writeFileSync(join(dir, "a.yaml"), text);
      server.reload();
      expect(server.configErrors()).toEqual([]);
      expect(await cluster()).toBeUndefined();
    }
  });

  it("an address that is none is refused at once", async () => {
    await start(picking());
    const options = { configDir: dir, wasmDir, log: silentLogger, advertise: "nowhere" };
    await expect(startServer(options)).rejects.toThrow(/^TM_USAGE not HOST:PORT: nowhere/);
  });
});
