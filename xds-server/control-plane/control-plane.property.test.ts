import fc from "fast-check";
import { expect, it } from "vitest";
import { ControlPlaneFixture, discovered } from "../../test/fixtures/control-plane.ts";

/** However endpoints, weights and files change, what is served is what a control plane would serve that begins with what there is at the end. */

const SERVICES = ["a", "b", "c"] as const;
const SOURCE = `
apiVersion: tokenmesh.io/v1alpha1
kind: DiscoverySource
metadata: {name: source}
spec: {registry: {}}`;
const GATEWAY = `
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: edge}
spec: {servers: [{port: {number: 0, name: http, protocol: HTTP}, hosts: ["*"]}]}`;
const service = (name: string, port: number, dns: boolean) => `
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: ${name}${dns ? "" : ", annotations: {tokenmesh.io/endpoints-from: source}"}}
spec:
  hosts: [${name}.test]
  ports: [{number: ${port}, name: http}]
  resolution: ${dns ? "DNS" : "STATIC"}
  ${dns ? "endpoints: [{address: 10.0.0.1}, {address: host.test}]" : ""}
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: ${name}}
spec: {host: ${name}.test, subsets: [{name: v1, labels: {version: v1}}]}`;
const picker = (name: string) => `
apiVersion: tokenmesh.io/v1alpha1
kind: EndpointPicker
metadata: {name: picks}
spec: {pools: [{name: main, host: ${name}.test}]}`;

const name = fc.constantFrom(...SERVICES);
const address = fc.integer({ min: 1, max: 4 }).map((last) => `10.0.0.${last}`);
const endpoint = fc
  .record({
    address,
    weight: fc.integer({ min: 1, max: 3 }),
    health: fc.constantFrom("healthy", "unhealthy", "draining", undefined),
    v1: fc.boolean(),
  })
  .map(({ address: at, weight, health, v1 }) =>
    discovered(at, { weight, labels: new Map(v1 ? [["version", "v1"]] : []), ...(health && { health }) }),
  );
const change = fc.oneof(
  fc.record({ kind: fc.constant("discover" as const), name, endpoints: fc.array(endpoint, { maxLength: 4 }) }),
  fc.record({
    kind: fc.constant("weigh" as const),
    name,
    subset: fc.constantFrom("", "v1"),
    address,
    weight: fc.integer({ min: 0, max: 5 }),
  }),
  fc.record({ kind: fc.constant("write" as const), name, port: fc.constantFrom(80, 81), dns: fc.boolean() }),
  fc.record({ kind: fc.constant("pick" as const), name: fc.option(name, { nil: undefined }) }),
  fc.record({ kind: fc.constant("load" as const) }),
  fc.record({ kind: fc.constant("pass" as const) }),
);

it("property: incremental is the same as from scratch", () => {
  fc.assert(
    fc.property(fc.array(change, { maxLength: 20 }), (changes) => {
      const [plane, fresh] = [new ControlPlaneFixture(), new ControlPlaneFixture()];
      const both = (act: (each: ControlPlaneFixture) => void) => [plane, fresh].forEach(act);
      try {
        both((each) => each.compile("hash-ring"));
        both((each) => each.write("base.yaml", SOURCE, GATEWAY));
        for (const each of SERVICES) {
          both((to) => to.write(`${each}.yaml`, service(each, 80, false)));
          both((to) => to.discover(`default/${each}`));
        }
        plane.control.load();
        for (const each of changes) {
          if (each.kind === "discover") both((to) => to.discover(`default/${each.name}`, ...each.endpoints));
          if (each.kind === "write")
            both((to) => to.write(`${each.name}.yaml`, service(each.name, each.port, each.dns)));
          if (each.kind === "pick") both((to) => to.write("p.yaml", each.name === undefined ? "" : picker(each.name)));
          if (each.kind === "weigh") {
            const cluster = `outbound|80|${each.subset}|${each.name}.test`;
            both((to) => to.weigh(cluster, each.address, 80, each.weight));
          }
          if (each.kind === "load") plane.control.load();
          if (each.kind === "pass") plane.clock.pass(0);
        }
        plane.control.load();
        plane.clock.pass(0);
        expect([fresh.control.load(), fresh.control.errors]).toEqual(["published", []]);
        expect(plane.control.errors).toEqual([]);
        expect([...plane.versions()]).toEqual([...fresh.versions()]);
        expect(plane.control.version("default")).toBe(fresh.control.version("default"));
      } finally {
        plane.dispose();
        fresh.dispose();
      }
    }),
    { numRuns: 60 },
  );
});
