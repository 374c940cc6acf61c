import { request } from "node:http";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { adsBootstrap, EnvoyProcess, versionsUnderTest, waitFor } from "../envoy/harness/index.ts";
import { type Replica, startReplica } from "../envoy/replica/index.ts";
import { TypeUrl } from "../protos/index.ts";
import { buildResources } from "../test/fixtures/built-resources.ts";
import { createResource, createSnapshot, SnapshotCache } from "./cache/index.ts";
import { formatError, type Model, parseConfig } from "./config/index.ts";
import { silentLogger } from "./log.ts";
import { DEFAULT_BUFFER_BYTES, listener, listenerName } from "./resources/listeners.ts";
import { createMetrics } from "./server/metrics.ts";
import { StreamRegistry } from "./server/stream-registry.ts";
import { startXdsServer, type XdsServer } from "./server/xds-server.ts";

/**
 * Clusters whose endpoints are picked, in a real Envoy without a filter that picks: the test writes the header itself, to a listener that, unlike those of this server,
 * does not take it from clients.
 */

const NAMES = ["a", "b", "c", "d"] as const;

const service = (name: string, endpoints: string) => `
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: ${name}}
spec:
  hosts: [${name}.test]
  ports: [{number: 80, name: http, protocol: HTTP}]
  resolution: STATIC
  endpoints: [${endpoints}]
---`;
const gateway = (name: string) => `
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: ${name}}
spec: {servers: [{port: {number: 0, name: http, protocol: HTTP}, bind: 127.0.0.1, hosts: ["*"]}]}
---`;
const FILES = (port: (name: string) => number) => `
${["open", "closed", "picking"].map(gateway).join("")}
${service("all", NAMES.map((name) => `{address: 127.0.0.1, ports: {http: ${port(name)}}, labels: {version: v${name < "c" ? 1 : 2}}}`).join())}
${service(
  "drained",
  NAMES.map(
    (name) => `{address: 127.0.0.1, ports: {http: ${port(name)}}, labels: {tokenmesh.io/draining: "${name !== "a"}"}}`,
  ).join(),
)}
${service("ejected", NAMES.map((name) => `{address: 127.0.0.1, ports: {http: ${port(name)}}}`).join())}
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: ejected}
spec:
  host: ejected.test
  trafficPolicy: {outlierDetection: {consecutive5xxErrors: 1, baseEjectionTime: 300s, maxEjectionPercent: 100}}
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: all}
spec: {host: all.test, subsets: [{name: v1, labels: {version: v1}}, {name: v2, labels: {version: v2}}]}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: all}
spec:
  hosts: ["*"]
  gateways: [open, closed]
  http:
    - match: [{headers: {x-to: {exact: drained}}}]
      route: [{destination: {host: drained.test}}]
    - match: [{headers: {x-to: {exact: ejected}}}]
      route: [{destination: {host: ejected.test}}]
    - match: [{headers: {x-to: {exact: versions}}}]
      route:
        - {destination: {host: all.test, subset: v1}, weight: 50}
        - {destination: {host: all.test, subset: v2}, weight: 50}
    - match: [{headers: {x-to: {exact: retried}}}]
      route: [{destination: {host: all.test}}]
      retries: {attempts: 2, retryOn: 5xx}
    - route: [{destination: {host: all.test}}]
---
apiVersion: tokenmesh.io/v1alpha1
kind: EndpointPicker
metadata: {name: picks, annotations: {tokenmesh.io/gateways: picking}}
spec: {pools: [{name: drained, host: drained.test, match: {stream: true}}, {name: ejected, host: ejected.test, match: {tools: true}}, {name: all, host: all.test}]}
`;

function modelOf(text: string): Model {
  const result = parseConfig([{ file: "f.yaml", text }]);
  if (!result.ok) throw new Error(result.errors.map(formatError).join("\n"));
  return result.model;
}

/** What the server would send, without the Gateway of the filter, and with one listener that leaves clients their headers. */
function resourcesOf(model: Model) {
  const filter = { "hash-ring": { hash: "0", code: { inline: new Uint8Array() } } };
  const open = model.gateways.find(({ metadata }) => metadata.name === "open");
  const [server] = open?.servers ?? [];
  if (open === undefined || server === undefined) throw new Error("no Gateway");
  const name = listenerName(open, server);
  const object = listener(
    open,
    server,
    { network: [], downstream: [], upstream: [], picks: true },
    DEFAULT_BUFFER_BYTES,
  );
  const plain = JSON.parse(JSON.stringify(object));
  const [manager] = plain.filter_chains[0].filters;
  expect(manager.typed_config.early_header_mutation_extensions).toHaveLength(1);
  manager.typed_config.early_header_mutation_extensions = undefined;
  const references = [{ typeUrl: TypeUrl.route, name }];
  return [
    ...buildResources(model, filter).filter(
      (each) =>
        each.typeUrl !== TypeUrl.extensionConfig &&
        !each.name.startsWith("default/picking/") &&
        (each.typeUrl !== TypeUrl.listener || each.name !== name),
    ),
    createResource(TypeUrl.listener, name, plain, references),
  ];
}

describe.each(versionsUnderTest())("clusters of an EndpointPicker in a real Envoy, %s", (version) => {
  let replicas: Replica[];
  let ads: XdsServer;
  let envoy: EnvoyProcess;
  const registry = new StreamRegistry();

  const replicaOf = (name: string): Replica => {
    const found = replicas.find((each) => each.name === name);
    if (found === undefined) throw new Error(`no replica ${name}`);
    return found;
  };
  const addressOf = (name: string) => `127.0.0.1:${replicaOf(name).port}`;
  const list = (...names: readonly string[]) => ({
    "x-gateway-destination-endpoint": names.map((name) => (name.length === 1 ? addressOf(name) : name)).join(","),
  });
  /** Nobody listens there, and no cluster has it. */
  const UNKNOWN = "127.0.0.9:9";

  beforeAll(async () => {
    replicas = await Promise.all(NAMES.map((name) => startReplica({ name, models: ["m"] })));
    const cache = new SnapshotCache();
    cache.set("default", createSnapshot(resourcesOf(modelOf(FILES((name) => replicaOf(name).port)))));
    const context = { cache, registry, metrics: createMetrics(), log: silentLogger, identifier: "test", now: Date.now };
    ads = await startXdsServer("127.0.0.1:0", context);
    envoy = await EnvoyProcess.start({
      version,
      bootstrap: adsBootstrap({ xdsAddress: ads.address, nodeId: "picks", cluster: "test" }),
      allowErrors: [/gRPC config/, /StreamAggregatedResources/],
    });
    const settled = () => {
      const states = [...registry].flatMap(({ watches }) => [...watches.values()]);
      for (const { nack } of states) if (nack !== undefined) throw new Error(nack.message);
      return states.length >= 4 && states.every(({ ackedVersion }) => ackedVersion !== "");
    };
    await waitFor(settled, { timeoutMs: 10_000, what: "the configuration" });
  });
  afterAll(async () => {
    await envoy.stop();
    await ads.close();
    for (const replica of replicas) await replica.close();
  });

  async function ask(headers: Readonly<Record<string, string>>, at = "open"): Promise<string> {
    const address = await envoy.listenerAddress(`default/${at}/http`);
    return new Promise((resolve, reject) => {
      const call = request(`http://${address}/v1/models`, { headers, agent: false }, (answer) => {
        answer.resume();
        answer.on("end", () => resolve(answer.headers["x-replica"]?.toString() ?? `status ${answer.statusCode}`));
      });
      call.on("error", reject);
      call.end();
    });
  }

  async function several(times: number, headers: (i: number) => Readonly<Record<string, string>>, at = "open") {
    const answers: string[] = [];
    for (let i = 0; i < times; i++) answers.push(await ask(headers(i), at));
    return answers;
  }
  const setOf = (answers: readonly string[]) => [...new Set(answers)].sort();
  const prefix = (i: number) => ({ "x-llm-prefix": (i * 0x9e37_79b9).toString(16).padStart(16, "0") });

  it("a request goes to the first address of the header that the cluster has", async () => {
    for (const name of NAMES) {
      expect(setOf(await several(10, (i) => ({ ...list(name), ...prefix(i) })))).toEqual([name]);
      expect(await ask(list(UNKNOWN, name, "a"))).toBe(name);
    }
  });

  it("the replica is not told the list", async () => {
    replicaOf("b").clearRequests();
    const answer = await ask({ ...list("b", "a"), "x-other": "kept" });
    expect(answer).toBe("b");
    const [received, ...more] = replicaOf("b").requests;
    expect([received?.headers["x-other"], received?.headers["x-gateway-destination-endpoint"], more]).toEqual([
      "kept",
      undefined,
      [],
    ]);
  });

  it("without one that it has, requests of one prefix stay together, those of several are spread", async () => {
    for (const headers of [{}, list(UNKNOWN), { "x-gateway-destination-endpoint": "no address" }]) {
      const [first, ...others] = await several(10, () => ({ ...headers, ...prefix(7) }));
      expect(NAMES).toContain(first);
      expect(setOf(others)).toEqual([first]);
    }
    expect(setOf(await several(60, prefix))).toEqual([...NAMES]);
  });

  it("with neither it goes anywhere", async () => {
    expect(setOf(await several(60, () => ({})))).toEqual([...NAMES]);
  });

  it("a retry goes to the next address, and behind the last by the prefix", async () => {
    const retries = async () =>
      (await envoy.admin.stats("all.test.upstream_rq_retry$")).get("cluster.outbound|80||all.test.upstream_rq_retry") ??
      0;
    for (const name of ["a", "b"]) replicaOf(name).failNext({ kind: "refuse" });
    try {
      const before = await retries();
      expect(await ask(list("a", "d", "c"))).toBe("d");
      expect((await retries()) - before).toBe(1);
      expect(await ask(list("a", "b", "c"))).toBe("c");
      expect((await retries()) - before).toBe(3);
      // The list is over: the ring is asked. It tries a few times to pass over endpoints that were tried before, so now and then it names one of them again.
      const answers = setOf(await several(20, (i) => ({ ...list("a", "b"), ...prefix(i) })));
      expect(answers.filter((each) => !["c", "d", "status 503"].includes(each))).toEqual([]);
      expect(answers).toEqual(expect.arrayContaining(["c", "d"]));
      // Two retries are all there are.
      expect(await ask(list("a", "b", "a"))).toBe("status 503");
    } finally {
      for (const name of ["a", "b"]) await replicaOf(name).recover();
    }
    expect(await ask(list("a"))).toBe("a");
  });

  it("and so it does when the first endpoint has had the request", async () => {
    const headers = { "x-to": "retried" };
    for (const name of ["a", "b"]) replicaOf(name).failNext({ kind: "status", status: 503 }, { times: "always" });
    try {
      expect(await ask({ ...headers, ...list("a", "b", "c") })).toBe("c");
      const [first, ...others] = await several(10, () => ({ ...headers, ...list("a", "b"), ...prefix(5) }));
      expect(["c", "d"]).toContain(first);
      expect(setOf(others)).toEqual([first]);
    } finally {
      for (const name of ["a", "b"]) await replicaOf(name).recover();
    }
  });

  it("subsets are chosen first: of the list counts what the subset has", async () => {
    const headers = { ...list("a", "c"), "x-to": "versions" };
    const answers = await several(40, () => headers);
    expect(setOf(answers)).toEqual(["a", "c"]);
    const prefixed = await several(40, () => ({ "x-to": "versions", ...prefix(3) }));
    expect(setOf(prefixed)).toHaveLength(2);
  });

  it("endpoints that drain get nothing by the prefix, even when only one is left; by the header they do", async () => {
    expect(setOf(await several(40, (i) => ({ "x-to": "drained", ...prefix(i) })))).toEqual(["a"]);
    expect(await ask({ "x-to": "drained", ...list("c") })).toBe("c");
  });

  it("endpoints that fail and are ejected get nothing by the prefix, even when most are; without any there is no answer", async () => {
    const to = { "x-to": "ejected" };
    const eject = async (name: string) => {
      replicaOf(name).failNext({ kind: "status", status: 500 });
      expect(await ask({ ...to, ...list(name) })).toBe(name);
    };
    for (const name of ["b", "c", "d"]) await eject(name);
    // Envoy tells its workers of several ejections within a second at once.
    const only = async (who: string) => setOf(await several(20, (i) => ({ ...to, ...prefix(i) }))).join() === who;
    await waitFor(() => only("a"), { timeoutMs: 10_000, what: "all requests at the one that is left" });
    await eject("a");
    await waitFor(() => only("status 503"), { timeoutMs: 10_000, what: "no answers" });
  });

  it("clients do not choose: listeners of this server take both headers from them", async () => {
    expect(setOf(await several(40, () => list("b"), "closed")).length).toBeGreaterThan(1);
    expect(setOf(await several(40, () => prefix(7), "closed")).length).toBeGreaterThan(1);
  });
});
