import { describe, expect, it } from "vitest";
import { formatError } from "./diagnostics.ts";
import type { DiscoverySourceSpec } from "./discovery-model.ts";
import { parseConfig } from "./parse.ts";

/** The schema of DiscoverySource, and the annotation of a ServiceEntry that names one. */

const source = (spec: string, name = "s") => `
apiVersion: tokenmesh.io/v1alpha1
kind: DiscoverySource
metadata: {name: ${name}}
spec: ${spec}
`;
const entry = (from: string, more = "") => `
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: web, annotations: {tokenmesh.io/endpoints-from: ${JSON.stringify(from)}}}
spec: {hosts: [web.test], ports: [{number: 80, name: http}], resolution: STATIC${more}}
`;
const parse = (...texts: readonly string[]) => parseConfig(texts.map((text, i) => ({ file: `${i}.yaml`, text })));

function spec(text: string): DiscoverySourceSpec {
  const result = parse(source(text));
  if (!result.ok) throw new Error(result.errors.map(formatError).join("\n"));
  const [found] = result.model.discoverySources;
  if (found === undefined) throw new Error("no DiscoverySource");
  return found.spec;
}

function errors(...texts: readonly string[]): readonly string[] {
  const result = parse(...texts);
  return result.ok ? [] : result.errors.map(formatError);
}

describe("DiscoverySource", () => {
  it("has defaults for everything but what it is", () => {
    expect(spec("{dns: {}}")).toMatchObject({
      dns: { resolvers: [], kinds: ["A", "AAAA"], port: undefined },
      file: undefined,
      quiet: 100,
      drain: 10_000,
      poll: { min: 1_000, max: 3_600_000 },
      metadata: { region: undefined, zone: undefined, subZone: undefined, weight: undefined, labels: undefined },
    });
    expect(spec("{registry: {}}").registry).toEqual({});
    expect(spec("{file: {path: endpoints.yaml}}").file).toEqual({ path: "endpoints.yaml" });
    expect(spec("{kubernetes: {}}").kubernetes).toMatchObject({
      kubeconfig: undefined,
      namespaces: [],
      pods: false,
      nodes: true,
    });
    expect(spec("{consul: {address: 127.0.0.1:8500}}").consul).toMatchObject({
      address: "127.0.0.1:8500",
      passingOnly: false,
      consistency: "default",
      token: undefined,
    });
    expect(spec("{eureka: {addresses: [http://a.test:8761/eureka]}}").eureka?.addresses).toEqual([
      "http://a.test:8761/eureka",
    ]);
  });

  it("reads everything that can be said", () => {
    expect(
      spec(`
  consul: {address: "https://consul.test:8501", datacenter: dc1, namespace: ns, token: {env: TOKEN}, tag: prod, passingOnly: true, consistency: stale}
  quiet: 0s
  drain: 1m
  poll: {min: 500ms, max: 10s}
  metadata: {region: r, zone: z, subZone: s, weight: w, labels: {accelerator: gpu}}`),
    ).toMatchObject({
      consul: {
        address: "https://consul.test:8501",
        datacenter: "dc1",
        namespace: "ns",
        token: { env: "TOKEN" },
        tag: "prod",
        passingOnly: true,
        consistency: "stale",
      },
      quiet: 0,
      drain: 60_000,
      poll: { min: 500, max: 10_000 },
      metadata: { region: "r", zone: "z", subZone: "s", weight: "w", labels: new Map([["accelerator", "gpu"]]) },
    });
    expect(spec('{dns: {resolver: ["10.0.0.2:53", "[2001:db8::1]:5353"], kind: SRV}}').dns).toMatchObject({
      resolvers: ["10.0.0.2:53", "[2001:db8::1]:5353"],
      kinds: ["SRV"],
    });
    expect(spec("{eureka: {addresses: [a:1], username: u, password: {file: /run/p}}}").eureka).toMatchObject({
      username: "u",
      password: { file: "/run/p" },
    });
  });

  it.each([
    ["{}", "has none of file, dns, kubernetes, consul, eureka, registry"],
    ["{dns: {}, registry: {}}", "has dns and registry"],
    ["{dns: {kind: MX}}", "is not one of A, AAAA, SRV"],
    ["{dns: {kind: SRV, port: 80}}", "port has no effect with kind SRV"],
    ["{dns: {resolver: [dns.test:53]}}", "is not an IP address with a port"],
    ["{dns: {resolver: [10.0.0.1]}}", "is not an IP address with a port"],
    ["{dns: {resolver: ['10.0.0.1:99999']}}", "is not an IP address with a port"],
    ["{dns: {}, metadata: {weight: w}}", "metadata has no effect: DNS records have no metadata"],
    ["{file: {path: a}, metadata: {}}", "metadata has no effect"],
    ["{file: {}}", "field path is missing"],
    ["{registry: {a: 1}}", "unknown field"],
    ["{registry: {}, poll: {min: 10s, max: 1s}}", "min is 10000ms, more than max, 1000ms"],
    ["{registry: {}, poll: {min: 1ms}}", "out of range"],
    ["{registry: {}, drain: 2h}", "out of range"],
    ["{registry: {}, metadata: {locality: x}}", "unknown field"],
    ["{consul: {}}", "field address is missing"],
    ["{consul: {address: 'http://a b'}}", "is not the address of a server"],
    ["{consul: {address: 'http://a:1/?q=1'}}", "has no query"],
    ["{consul: {address: a:1, token: {env: A, file: b}}}", "has env and file"],
    ["{consul: {address: a:1, token: {}}}", "has none of env, file"],
    ["{consul: {address: a:1, token: {env: A-B}}}", "is not the name of an environment variable"],
    ["{eureka: {addresses: []}}", "needs at least 1 entry"],
    ["{eureka: {addresses: [a:1], username: u}}", "username without password"],
    ["{eureka: {addresses: [a:1], password: {env: P}}}", "password without username"],
    ["{kubernetes: {namespaces: [Upper]}}", "is not a namespace"],
    ["{kubernetes: {port: 80}}", "expected a text"],
    ["{kubernetes: {port: 'a b'}}", "is not name or number of a port"],
    ["{kubernetes: {context: prod}}", "has context without kubeconfig"],
  ])("%s is refused", (text, message) => {
    const found = errors(source(text));
    expect(found).toHaveLength(1);
    expect(found[0]).toContain(message);
    expect(found[0]).toMatch(/^0\.yaml:5:\d+: TM_CONFIG_/);
  });

  it("never shows a secret that somebody writes in the wrong place", () => {
    const places = [
      "{consul: {address: a:1, token: s3cret}}",
      "{consul: {address: a:1, token: 5333777}}",
      "{eureka: {addresses: ['http://user:s3cret@a.test'], username: u, password: s3cret}}",
      "{consul: {address: 'http://u:s3cret@a.test'}}",
      "{consul: {address: 's3cret s3cret'}}",
    ];
    for (const text of places) {
      const found = errors(source(text));
      expect(found.length).toBeGreaterThan(0);
      for (const line of found) expect(line).not.toMatch(/s3cret|5333777/);
    }
  });
});

describe("a ServiceEntry with endpoints from a DiscoverySource", () => {
  it("names one of its namespace, and has no endpoints of its own", () => {
    expect(errors(source("{registry: {}}"), entry("s"))).toEqual([]);
    expect(errors(source("{registry: {}}"), entry("s/ns/web:http"))).toEqual([]);
    expect(errors(source("{registry: {}}"), entry("t")).join()).toContain("no DiscoverySource default/t is defined");
    expect(errors(source("{registry: {}}"), entry("s/")).join()).toContain("is not SOURCE or SOURCE/SERVICE");
    expect(errors(source("{registry: {}}"), entry("s", ", endpoints: [{address: 10.0.0.1}]")).join()).toContain(
      "come from a DiscoverySource",
    );
  });
});
