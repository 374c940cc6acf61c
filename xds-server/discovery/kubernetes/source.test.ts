import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { waitFor } from "../../../envoy/harness/index.ts";
import { FakeApiServer } from "../../../test/fixtures/discovery/kubernetes-api-server.ts";
import { KubernetesObjects } from "../../../test/fixtures/discovery/kubernetes-objects.ts";
import { discoverySpec, kubernetesSpec } from "../../../test/fixtures/discovery/kubernetes-spec.ts";
import type { KubernetesDiscovery } from "../../config/discovery-model.ts";
import type { LogLevel } from "../../log.ts";
import { systemClock } from "../clock.ts";
import type { DiscoveryError } from "../errors.ts";
import type { DiscoveredEndpoint, DiscoverySource } from "../source.ts";
import { kubernetesSource } from "./index.ts";
import { KubernetesSource } from "./source.ts";

let server: FakeApiServer;
let objects: KubernetesObjects;
const sources: DiscoverySource[] = [];
const logged: [LogLevel, string][] = [];

const clusterOf = (namespace: string) => ({
  server: server.url,
  namespace,
  credentials: async () => ({ headers: {}, tls: {} }),
});
const context = () => ({
  name: "mesh/kubernetes",
  clock: systemClock,
  random: () => 0,
  log: (level: LogLevel, message: string) => {
    logged.push([level, message]);
  },
});

beforeEach(async () => {
  server = await FakeApiServer.start();
  objects = new KubernetesObjects(clusterOf("mesh"), "mesh");
  logged.length = 0;
});
afterEach(async () => {
  for (const source of sources.splice(0)) await source.close();
  objects.close();
  await server.stop();
});

function open(spec: Partial<KubernetesDiscovery> = {}): KubernetesSource {
  const whole = kubernetesSpec(spec);
  const source = new KubernetesSource(whole, discoverySpec(whole).metadata, context(), {
    open: async () => clusterOf("mesh"),
    answerTimeoutMs: 2_000,
  });
  sources.push(source);
  return source;
}

function listen(source: DiscoverySource, service: string) {
  const answers: (readonly DiscoveredEndpoint[])[] = [];
  const failures: DiscoveryError[] = [];
  const unwatch = source.watch(service, {
    endpoints: (all) => answers.push(all),
    failed: (error) => failures.push(error),
  });
  const until = (what: string, condition: (last: readonly DiscoveredEndpoint[]) => boolean) =>
    waitFor(() => answers.length > 0 && condition(answers.at(-1) ?? []), { what });
  return { answers, failures, unwatch, until };
}

const web = { id: "0", address: "10.0.0.1", port: 8080 };
const watchesOf = (plural: string) =>
  server.requests.filter((each) => each.includes("watch=true") && each.includes(`/${plural}?`)).length;

describe("KubernetesSource", () => {
  it("reads a namespace once for all of its services, and no longer than somebody watches", async () => {
    await objects.put("web", [web]);
    const source = open();
    const listeners = ["web", "web", "a", "b", "c"].map((service) => listen(source, service));
    for (const { until } of listeners) await until("an answer", () => true);
    await waitFor(() => server.watches === 4, { what: "the watches" });
    expect(["services", "endpointslices", "pods", "nodes"].map(watchesOf)).toEqual([1, 1, 1, 1]);
    for (const { unwatch } of listeners) unwatch();
    await waitFor(() => server.watches === 1, { what: "only the nodes to be watched" });
    const again = listen(source, "web");
    await again.until("the endpoint", ([only]) => only?.address === "10.0.0.1");
  });

  it("reads neither pods nor nodes unless it is to", async () => {
    await objects.put("web", [{ ...web, weight: 7, locality: { region: "eu", zone: "eu-1", subZone: "" } }]);
    const { until, answers } = listen(open({ pods: false, nodes: false }), "web");
    await until("an answer", () => true);
    expect(answers[0]).toMatchObject([{ weight: 1, locality: { region: "", zone: "eu-1", subZone: "" } }]);
    expect(server.requests.some((each) => each.startsWith("GET") && /\/(pods|nodes)\?/.test(each))).toBe(false);
  });

  it("does without nodes when it may not read them, says so once, and has regions as soon as it may", async () => {
    await objects.put("web", [{ ...web, locality: { region: "eu", zone: "eu-1", subZone: "" } }]);
    server.intercept = (request, response) => {
      if (request.method !== "GET" || !request.url?.startsWith("/api/v1/nodes")) return false;
      response.writeHead(403).end('{"reason":"Forbidden","message":"nodes is forbidden"}');
      return true;
    };
    const { until, answers, failures } = listen(open(), "web");
    await until("an answer", () => true);
    expect(answers[0]?.[0]?.locality).toEqual({ region: "", zone: "eu-1", subZone: "" });
    await waitFor(() => server.requests.filter((each) => each.includes("/nodes")).length > 4, { what: "attempts" });
    expect(logged).toEqual([["warn", "endpoints have no region: this server may not read nodes"]]);
    server.intercept = undefined;
    await until("the region", ([only]) => only?.locality?.region === "eu");
    expect(failures).toEqual([]);
  });

  it("follows nodes and pods that change, and only in what matters", async () => {
    await objects.put("web", [
      { ...web, weight: 7, labels: { version: "v1" }, locality: { region: "eu", zone: "z", subZone: "" } },
    ]);
    const { until, answers } = listen(open(), "web");
    await until("an answer", ([only]) => only?.weight === 7 && only.labels.get("version") === "v1");
    const told = answers.length;
    await objects.apply("pods", "web-0", {
      metadata: { labels: { version: "v1" }, annotations: { "tokenmesh.io/weight": "7" } },
      status: { phase: "Running" },
    });
    await objects.apply("pods", "other", { metadata: { labels: { version: "v9" } } });
    await objects.apply("nodes", "mesh-z", {
      metadata: { labels: { "topology.kubernetes.io/region": "us", "topology.kubernetes.io/zone": "z" } },
    });
    await until("the region", ([only]) => only?.locality?.region === "us");
    expect(answers.length).toBe(told + 1);
    await objects.apply("pods", "web-0", { metadata: { labels: { version: "v2" } } });
    await until("the label", ([only]) => only?.labels.get("version") === "v2" && only.weight === 1);
  });

  it("forgets the endpoints of a Service that is deleted, though its slices are still there", async () => {
    await objects.put("web", [web]);
    const { until } = listen(open(), "web");
    await until("the endpoint", (all) => all.length === 1);
    await objects.delete("services", "web");
    await until("none", (all) => all.length === 0);
    await objects.put("web", [web]);
    await until("the endpoint again", (all) => all.length === 1);
  });

  it("follows a slice that goes to another Service", async () => {
    await objects.put("web", [web]);
    await objects.put("api", []);
    const source = open();
    const [from, to] = [listen(source, "web"), listen(source, "api")];
    await from.until("the endpoint", (all) => all.length === 1);
    await to.until("none", (all) => all.length === 0);
    await objects.apply("endpointslices", "web-8080", {
      metadata: { labels: { "kubernetes.io/service-name": "api" } },
      addressType: "IPv4",
      ports: [{ name: "http", port: 8080 }],
      endpoints: [{ addresses: ["10.0.0.1"] }],
    });
    await from.until("none", (all) => all.length === 0);
    await to.until("the endpoint", (all) => all.length === 1);
  });

  it("reads other namespaces when it is to, and refuses the rest", async () => {
    const other = new KubernetesObjects(clusterOf("other"), "other");
    await other.put("web", [{ ...web, address: "10.9.0.1" }]);
    other.close();
    await objects.put("web", [web]);
    const source = open({ namespaces: ["mesh", "other"] });
    const [home, away, secret] = ["web", "other/web:80", "secret/web"].map((service) => listen(source, service));
    await home?.until("an answer", ([only]) => only?.address === "10.0.0.1");
    await away?.until("an answer", ([only]) => only?.address === "10.9.0.1");
    expect(secret?.failures.map(({ code }) => code)).toEqual(["TM_DISCOVERY_FAILED"]);
    expect(server.requests.some((each) => each.includes("/secret/"))).toBe(false);
  });

  it("fails for a port that the Service does not have, and only for who asked for it", async () => {
    await objects.put("web", [web]);
    const source = open();
    const [right, wrong] = [listen(source, "web:http"), listen(source, "web:grpc")];
    await right.until("the endpoint", (all) => all.length === 1);
    await waitFor(() => wrong.failures.length > 0, { what: "the failure" });
    expect(wrong.failures[0]?.message).toContain("service mesh/web has no port grpc; it has http (80)");
    expect([wrong.answers, right.failures]).toEqual([[], []]);
    await objects.apply("services", "web", { spec: { ports: [{ name: "grpc", port: 80 }] } });
    await objects.apply("endpointslices", "web-8080", {
      metadata: { labels: { "kubernetes.io/service-name": "web" } },
      addressType: "IPv4",
      ports: [{ name: "grpc", port: 9090 }],
      endpoints: [{ addresses: ["10.0.0.1"] }],
    });
    await wrong.until("the endpoint", ([only]) => only?.port === 9090);
  });

  it("says so when it may not read, and reads as soon as it may", async () => {
    await objects.put("web", [web]);
    server.intercept = (request, response) => {
      if (request.method !== "GET" || !request.url?.includes("/endpointslices?")) return false;
      response.writeHead(403).end('{"reason":"Forbidden","message":"endpointslices is forbidden"}');
      return true;
    };
    const { until, answers, failures } = listen(open(), "web");
    await waitFor(() => failures.length > 1, { what: "failures" });
    expect(failures[0]?.code).toBe("TM_DISCOVERY_DENIED");
    expect(answers).toEqual([]);
    server.intercept = undefined;
    await until("the endpoint", (all) => all.length === 1);
  });

  it("tells what it has once more when the server is back, though nothing has changed", async () => {
    await objects.put("web", [web]);
    const { until, answers, failures } = listen(open({ pods: false, nodes: false }), "web");
    await until("the endpoint", (all) => all.length === 1);
    await waitFor(() => server.watches === 2, { what: "the watches" });
    const told = answers.length;
    await server.stop();
    await waitFor(() => failures.length > 1, { what: "failures" });
    expect(answers.length).toBe(told);
    await server.listen();
    await waitFor(() => answers.length > told, { what: "the answer again" });
    expect(answers.at(-1)).toEqual(answers[told - 1]);
  });

  it("tells at each bookmark again what it told before", async () => {
    await objects.put("web", [web]);
    const { until, answers } = listen(open(), "web");
    await until("the endpoint", (all) => all.length === 1);
    await waitFor(() => server.watches === 4, { what: "the watches" });
    const told = answers.length;
    server.sendBookmarks();
    await waitFor(() => answers.length > told, { what: "the answer again" });
    expect(answers.length).toBe(told + 1);
    expect(answers.at(-1)).toBe(answers[told - 1]);
  });

  it("leaves out endpoints that make no sense, says so, and keeps the others", async () => {
    await objects.put("web", [web, { ...web, id: "1", address: "not an address" }]);
    const { until } = listen(open(), "web");
    await until("one endpoint", (all) => all.length === 1);
    expect(logged[0]).toEqual(["warn", "endpoints were left out"]);
  });

  it("waits for a kubeconfig that is not there yet", async () => {
    await objects.put("web", [web]);
    const folder = mkdtempSync(join(tmpdir(), "tokenmesh-kubernetes-"));
    try {
      const kubeconfig = join(folder, "config");
      const source = kubernetesSource(discoverySpec(kubernetesSpec({ kubeconfig, namespaces: ["mesh"] })), context());
      sources.push(source);
      const { until, failures } = listen(source, "web");
      await waitFor(() => failures.length > 1, { what: "failures" });
      expect(failures[0]?.code).toBe("TM_DISCOVERY_SECRET");
      const late = listen(source, "web");
      await waitFor(() => late.failures.length > 0, { what: "the failure" });
      const clusters = [{ name: "c", cluster: { server: server.url } }];
      const contexts = [{ name: "x", context: { cluster: "c", user: "u" } }];
      const users = [{ name: "u", user: {} }];
      writeFileSync(kubeconfig, JSON.stringify({ clusters, contexts, users, "current-context": "x" }));
      await until("the endpoint", (all) => all.length === 1);
      await late.until("the endpoint", (all) => all.length === 1);
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  });

  it("tells who comes while there is no cluster why, and not only with the next attempt", async () => {
    const clock = { ...systemClock, after: () => () => {} };
    const spec = kubernetesSpec({ kubeconfig: "no-such-file" });
    const source = kubernetesSource(discoverySpec(spec), { ...context(), clock });
    sources.push(source);
    const first = listen(source, "web");
    await waitFor(() => first.failures.length === 1, { what: "the failure" });
    const late = listen(source, "web");
    await waitFor(() => late.failures.length === 1, { what: "the failure" });
    expect(first.failures.length).toBe(1);
  });

  it("is of no use for other kinds, and can be closed before it has begun", async () => {
    const { kubernetes: _, ...others } = discoverySpec(kubernetesSpec());
    expect(() => kubernetesSource({ ...others, kubernetes: undefined }, context())).toThrow(/has no kubernetes/);
    const source = open();
    const { answers, failures } = listen(source, "web");
    await source.close();
    await source.close();
    expect([answers, failures]).toEqual([[], []]);
  });
});
