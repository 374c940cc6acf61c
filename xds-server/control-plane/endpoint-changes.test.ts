import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { TypeUrl } from "../../protos/index.ts";
import { ControlPlaneFixture, changedNames, discovered } from "../../test/fixtures/control-plane.ts";
import { found, GATEWAY, route, SOURCE, service } from "../../test/fixtures/control-plane-documents.ts";

/** What is published when discovery finds endpoints and when weights are set, and what is not. */

let plane: ControlPlaneFixture;

beforeEach(() => {
  plane = new ControlPlaneFixture();
});

afterEach(() => plane.dispose());

describe("endpoints of discovery", () => {
  const CLUSTER = "outbound|80||app.test";

  it("come into clusters of their services, with health and weight", () => {
    plane.discover("default/app", discovered("10.0.0.9", { health: "draining", ports: new Map([["http", 8080]]) }));
    plane.write("a.yaml", SOURCE, found("app"));
    expect(plane.control.load()).toBe("published");
    expect(plane.served(CLUSTER)).toEqual(["10.0.0.9:8080 1 DRAINING"]);
    const before = plane.versions();
    plane.discover("default/app", discovered("10.0.0.9"), discovered("10.0.0.8", { weight: 3, health: "unhealthy" }));
    expect(plane.versions()).toEqual(before);
    plane.clock.pass(0);
    expect(plane.served(CLUSTER)).toEqual(["10.0.0.9:80 1 -", "10.0.0.8:80 3 UNHEALTHY"]);
    expect(changedNames(before, plane.versions())).toEqual([`EDS ${CLUSTER}`]);
    expect(plane.models).toHaveLength(1);
  });

  it("change nothing but the assignments that they are about: every other resource is the same object, and nothing else is encoded", () => {
    const names = Array.from({ length: 30 }, (_, index) => `s${index}`);
    for (const name of names) plane.discover(`default/${name}`, discovered("10.0.0.1"));
    plane.write("a.yaml", GATEWAY, SOURCE, ...names.map((name) => found(name)));
    plane.control.load();
    const before = plane.resources();
    plane.discover("default/s7", discovered("10.0.0.2"));
    plane.clock.pass(0);
    const changed = plane.resources().filter((each) => !before.includes(each));
    expect(changed.map(({ typeUrl, name }) => [typeUrl, name])).toEqual([[TypeUrl.endpoints, "outbound|80||s7.test"]]);
  });

  it("are published in less than 3 ms of CPU: one endpoint of 1,000 clusters of 20", () => {
    const names = Array.from({ length: 1_000 }, (_, index) => `s${index}`);
    const endpoints = (last: number) =>
      Array.from({ length: 20 }, (_, index) => discovered(index === 0 ? `10.1.0.${last}` : `10.0.0.${index}`));
    for (const name of names) plane.discover(`default/${name}`, ...endpoints(0));
    plane.write("a.yaml", GATEWAY, SOURCE, ...names.map((name) => found(name)));
    plane.control.load();
    // The best of some: a machine that has other work to do takes longer over the same.
    const times = Array.from({ length: 10 }, (_, round) => {
      const start = process.cpuUsage();
      for (let i = 0; i < 10; i++) {
        plane.discover(`default/s${i * 97}`, ...endpoints(round + 1));
        plane.clock.pass(0);
      }
      const { user, system } = process.cpuUsage(start);
      return (user + system) / 10_000;
    });
    expect(Math.min(...times)).toBeLessThan(3);
    expect(plane.served("outbound|80||s97.test")[0]).toBe("10.1.0.10:80 1 -");
  });

  it("the first configuration waits for, and no longer than it may", () => {
    plane.write("a.yaml", SOURCE, found("app"), found("other"));
    expect([plane.control.load(), plane.control.load()]).toEqual(["waiting", "waiting"]);
    plane.discover("default/app", discovered("10.0.0.1"));
    plane.clock.pass(0);
    expect(plane.cache.groups()).toEqual([]);
    plane.clock.pass(9_999);
    expect(plane.cache.groups()).toEqual([]);
    plane.clock.pass(1);
    expect([plane.served(CLUSTER), plane.served("outbound|80||other.test")]).toEqual([["10.0.0.1:80 1 -"], []]);
    expect(plane.logged.some(([, message]) => message.includes("has not answered"))).toBe(true);
    expect(plane.clock.waiting).toBe(0);
  });

  it("the first configuration is published with the last answer, an empty one too", () => {
    plane.write("a.yaml", SOURCE, found("app"), found("other"));
    plane.control.load();
    plane.discover("default/app", discovered("10.0.0.1"));
    plane.discover("default/other");
    plane.clock.pass(0);
    expect([plane.served(CLUSTER), plane.served("outbound|80||other.test")]).toEqual([["10.0.0.1:80 1 -"], []]);
    expect([plane.clock.waiting, plane.control.load()]).toEqual([0, "unchanged"]);
  });

  it("a configuration that is wrong is not followed by one that waited before it", () => {
    plane.write("a.yaml", SOURCE, found("app"));
    expect(plane.control.load()).toBe("waiting");
    plane.write("a.yaml", "kind: X");
    expect(plane.control.load()).toBe("rejected");
    plane.discover("default/app", discovered("10.0.0.1"));
    plane.clock.pass(20_000);
    expect([plane.cache.groups(), plane.control.errors.length, plane.clock.waiting]).toEqual([[], 1, 0]);
    plane.write("a.yaml", SOURCE, found("app"));
    expect([plane.control.load(), plane.served(CLUSTER)]).toEqual(["published", ["10.0.0.1:80 1 -"]]);
  });

  it("a service that moves to discovery keeps its endpoints until there is an answer", () => {
    plane.write("a.yaml", SOURCE, service("app"));
    plane.control.load();
    plane.write("a.yaml", SOURCE, found("app"));
    expect(plane.control.load()).toBe("published");
    expect(plane.served(CLUSTER)).toEqual(["10.0.0.1:80 1 -"]);
    plane.discover("default/app", discovered("10.0.0.2"));
    plane.clock.pass(0);
    expect(plane.served(CLUSTER)).toEqual(["10.0.0.2:80 1 -"]);
  });

  it("of services that nobody has are no matter", () => {
    plane.write("a.yaml", service("app"));
    plane.control.load();
    const before = plane.control.version("default");
    plane.discover("default/nobody", discovered("10.0.0.1"));
    plane.discover("default/app", discovered("10.0.0.3"));
    plane.clock.pass(0);
    expect(plane.control.version("default")).toBe(before);
  });

  it("wait for others to come where a quiet time is set", () => {
    plane.dispose();
    plane = new ControlPlaneFixture({ times: { endpointsQuietMs: 10, endpointsMaxMs: 25 } });
    plane.discover("default/app", discovered("10.0.0.1"));
    plane.write("a.yaml", SOURCE, found("app"));
    plane.control.load();
    plane.clock.pass(100);
    let published = 0;
    plane.cache.watch("default", () => published++);
    for (let i = 0; i < 5; i++) {
      plane.discover("default/app", discovered(`10.0.1.${i}`));
      plane.clock.pass(9);
    }
    // 45 ms: once after the longest wait of 25, and once more for what came later.
    expect(published).toBe(1);
    plane.clock.pass(10);
    expect([published, plane.served(CLUSTER)]).toEqual([2, ["10.0.1.4:80 1 -"]]);
    plane.discover("default/app", discovered("10.0.2.1"));
    plane.control.flush();
    expect([published, plane.served(CLUSTER), plane.clock.waiting]).toEqual([3, ["10.0.2.1:80 1 -"], 0]);
  });

  it("reach a picker's configuration, which has them", () => {
    const picker = `
apiVersion: tokenmesh.io/v1alpha1
kind: EndpointPicker
metadata: {name: picks}
spec: {pools: [{name: main, host: app.test}]}`;
    plane.discover("default/app", discovered("10.0.0.1"));
    plane.write("a.yaml", GATEWAY, SOURCE, found("app"), found("b"), picker);
    plane.discover("default/b", discovered("10.0.0.1"));
    plane.compile("hash-ring");
    expect([plane.control.load(), plane.control.errors]).toEqual(["published", []]);
    const before = plane.versions();
    plane.discover("default/app", discovered("10.0.0.2"));
    plane.clock.pass(0);
    expect(changedNames(before, plane.versions())).toEqual([
      "ECDS tokenmesh.hash-ring/default/picks",
      `EDS ${CLUSTER}`,
    ]);
    expect(plane.models).toHaveLength(2);
    const later = plane.versions();
    plane.discover("default/b", discovered("10.0.0.2"));
    plane.clock.pass(0);
    expect(changedNames(later, plane.versions())).toEqual(["EDS outbound|80||b.test"]);
    expect(plane.models).toHaveLength(2);
  });
});

describe("weights", () => {
  const CLUSTER = "outbound|80||app.test";

  it("touch the assignment of their cluster alone; 0 drains", () => {
    plane.write("a.yaml", GATEWAY, service("app"), service("other"));
    plane.control.load();
    const before = plane.versions();
    plane.weigh(CLUSTER, "10.0.0.1", 80, 7);
    plane.clock.pass(0);
    expect(plane.served(CLUSTER)).toEqual(["10.0.0.1:80 7 -"]);
    expect(changedNames(before, plane.versions())).toEqual([`EDS ${CLUSTER}`]);
    plane.weigh(CLUSTER, "10.0.0.1", 80, 0);
    plane.clock.pass(0);
    expect(plane.served(CLUSTER)).toEqual(["10.0.0.1:80 1 DRAINING"]);
    // A reload keeps them.
    plane.write("b.yaml", route(204));
    plane.control.load();
    expect(plane.served(CLUSTER)).toEqual(["10.0.0.1:80 1 DRAINING"]);
  });

  it("count for the endpoints that their cluster has", () => {
    const check = (cluster: string, address: string, port = 80) => plane.control.hasEndpoint(cluster, address, port);
    expect(check(CLUSTER, "10.0.0.1")).toBeUndefined();
    const subsets = `
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: app}
spec: {host: app.test, subsets: [{name: v1, labels: {version: v1}}]}`;
    const two = service("app").replace(
      "[{address: 10.0.0.1}]",
      "[{address: 10.0.0.1}, {address: 10.0.0.2, ports: {http: 81}, labels: {version: v1}}]",
    );
    plane.write("a.yaml", two, subsets, service("named", "db.test").replace("STATIC", "DNS"), found("late"), SOURCE);
    plane.control.load();
    plane.discover("default/late");
    plane.clock.pass(0);
    expect([check(CLUSTER, "10.0.0.1"), check(CLUSTER, "10.0.0.2"), check(CLUSTER, "10.0.0.2", 81)]).toEqual([
      true,
      false,
      true,
    ]);
    const subset = CLUSTER.replace("||", "|v1|");
    expect([check(subset, "10.0.0.1"), check(subset, "10.0.0.2", 81)]).toEqual([false, true]);
    // Envoy asks DNS: to change its weights would be to change the cluster.
    expect(check("outbound|80||named.test", "db.test")).toBeUndefined();
    expect([check("outbound|81||app.test", "10.0.0.1"), check("outbound|80|v2|app.test", "10.0.0.1")]).toEqual([
      undefined,
      undefined,
    ]);
    expect(check("outbound|80||late.test", "10.0.0.9")).toBe(false);
    plane.discover("default/late", discovered("10.0.0.9"));
    plane.clock.pass(0);
    expect(check("outbound|80||late.test", "10.0.0.9")).toBe(true);
  });

  it("of clusters that nobody has wait until somebody does", () => {
    plane.weigh(CLUSTER, "10.0.0.1", 80, 5);
    plane.clock.pass(0);
    plane.write("a.yaml", service("app"));
    plane.control.load();
    expect(plane.served(CLUSTER)).toEqual(["10.0.0.1:80 5 -"]);
  });
});
