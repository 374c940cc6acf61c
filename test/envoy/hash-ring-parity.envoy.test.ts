/**
 * Our ring and our Maglev table give the keys to the hosts to which Envoy's ring_hash and maglev give them: the computed host of several hundred
 * keys against the host that answered.
 */
import { Agent, createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import {
  cluster,
  EnvoyProcess,
  httpListener,
  type JsonObject,
  socketAddress,
  staticBootstrap,
  versionsUnderTest,
} from "../../envoy/harness/index.ts";
import { EndpointHashDriver, HashMethod } from "../lib/endpoint-hash-driver.ts";
import { HashFunction, hashBytes } from "../lib/hash-functions-driver.ts";
import { http1 } from "./http-client.ts";

const WEIGHTS = [1, 2, 3, 5, 8];
const KEYS = Array.from({ length: 400 }, (_, i) => `session-${i * 7919}`);
const IN_FLIGHT = 16;

interface Case {
  readonly name: string;
  /** Fields of Envoy's cluster. */
  readonly policy: JsonObject;
  readonly weighted: boolean;
  readonly ours: () => EndpointHashDriver;
}

const ring = (hash_function: string, minimum_ring_size?: number, maximum_ring_size?: number): JsonObject => ({
  lb_policy: "RING_HASH",
  ring_hash_lb_config: {
    hash_function,
    ...(minimum_ring_size === undefined ? {} : { minimum_ring_size }),
    ...(maximum_ring_size === undefined ? {} : { maximum_ring_size }),
  },
});
const { XxHash64, Murmur2 } = HashFunction;
const ourRing = (fn: HashFunction, minimum = 1024, maximum = 1 << 18) =>
  EndpointHashDriver.ring({ fn, minimum, maximum });

const cases: readonly Case[] = [
  { name: "xxhash", policy: ring("XX_HASH"), weighted: true, ours: () => ourRing(XxHash64) },
  { name: "murmur", policy: ring("MURMUR_HASH_2"), weighted: true, ours: () => ourRing(Murmur2) },
  { name: "xxhash-equal", policy: ring("XX_HASH"), weighted: false, ours: () => ourRing(XxHash64) },
  { name: "xxhash-large", policy: ring("XX_HASH", 50_000), weighted: true, ours: () => ourRing(XxHash64, 50_000) },
  // 33 points for weights that sum to 19: shares that are no whole numbers, in the order of the hosts.
  { name: "murmur-tiny", policy: ring("MURMUR_HASH_2", 20, 33), weighted: true, ours: () => ourRing(Murmur2, 20, 33) },
  {
    name: "maglev",
    policy: { lb_policy: "MAGLEV" },
    weighted: true,
    ours: () => EndpointHashDriver.of(HashMethod.Maglev, XxHash64),
  },
  {
    name: "maglev-small",
    policy: { lb_policy: "MAGLEV", maglev_lb_config: { table_size: 1009 } },
    weighted: true,
    ours: () => EndpointHashDriver.maglev(XxHash64, 1009),
  },
];

const hosts: Server[] = [];
let addresses: string[] = [];

beforeAll(async () => {
  for (const index of WEIGHTS.keys()) {
    const server = createServer((_request, answer) => answer.setHeader("x-host", String(index)).end());
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    hosts.push(server);
  }
  addresses = hosts.map((server) => `127.0.0.1:${(server.address() as AddressInfo).port}`);
});
afterAll(async () => {
  for (const server of hosts) {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  }
});

function clusterOf({ name, policy, weighted }: Case): JsonObject {
  const endpoints = addresses.map((address, index) => ({
    endpoint: { address: socketAddress(address) },
    load_balancing_weight: weighted ? (WEIGHTS[index] ?? 1) : 1,
  }));
  const load_assignment = { cluster_name: name, endpoints: [{ lb_endpoints: endpoints }] };
  return cluster({ name, targets: [], cluster: { ...policy, load_assignment } });
}

describe.each(versionsUnderTest())("Envoy %s", (version) => {
  let envoy: EnvoyProcess;
  let url: string;
  const agent = new Agent({ keepAlive: true, maxSockets: IN_FLIGHT });

  beforeAll(async () => {
    const hash_policy = [{ header: { header_name: "x-key" } }];
    const routes = cases.map(({ name }) => ({ cluster: name, prefix: `/${name}/`, action: { hash_policy } }));
    const bootstrap = staticBootstrap({
      listeners: [httpListener({ name: "http", routes })],
      clusters: cases.map(clusterOf),
    });
    envoy = await EnvoyProcess.start({ bootstrap, version });
    url = `http://${await envoy.listenerAddress("http")}`;
  });
  afterAll(async () => {
    agent.destroy();
    await envoy?.stop();
  });

  /** The host that answered each key. */
  async function chosen(name: string): Promise<number[]> {
    const answers = new Array<number>(KEYS.length);
    const rest = KEYS.entries();
    const client = async (): Promise<void> => {
      for (const [index, key] of rest) {
        const { headers } = await http1(url, { method: "GET", path: `/${name}/`, headers: { "x-key": key }, agent });
        answers[index] = Number(headers["x-host"]);
      }
    };
    await Promise.all(Array.from({ length: IN_FLIGHT }, client));
    return answers;
  }

  test.each(cases)("$name: the host of every key", async ({ name, weighted, ours }) => {
    const members = addresses.map((address, slot) => ({
      slot,
      name: address,
      weight: weighted ? (WEIGHTS[slot] ?? 1) : 1,
    }));
    const hash = ours().build(members);
    const computed = KEYS.map((key) => hash.pick(hashBytes(XxHash64, key)));
    const answered = await chosen(name);
    expect(new Set(answered).size).toBeGreaterThan(1);
    expect(answered).toEqual(computed);
    if (name.startsWith("maglev")) return;
    const stats = await envoy.admin.stats(`cluster.${name}.ring_hash_lb`);
    expect(stats.get(`cluster.${name}.ring_hash_lb.size`)).toBe(hash.points);
    const points = members.map(({ slot }) => hash.pointsOf(slot));
    expect(stats.get(`cluster.${name}.ring_hash_lb.min_hashes_per_host`)).toBe(Math.min(...points));
    expect(stats.get(`cluster.${name}.ring_hash_lb.max_hashes_per_host`)).toBe(Math.max(...points));
  });
});
