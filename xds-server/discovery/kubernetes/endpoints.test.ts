import { describe, expect, it } from "vitest";
import type { RawObject } from "../../kubernetes/index.ts";
import { rawEndpoints } from "./endpoints.ts";
import { readMetadata, readNode, readService, readSlice, type Service, type Slice } from "./objects.ts";
import { parseServiceName } from "./service-name.ts";

const http = { name: "http", port: 80, protocol: "TCP" };

function service(spec: object = { ports: [http] }, metadata: object = {}): Service {
  return readService({ metadata, spec });
}

function slice(endpoints: readonly object[], more: object = {}): Slice {
  const metadata = { namespace: "mesh", labels: { "kubernetes.io/service-name": "web" } };
  const ports = [{ name: "http", port: 8080, protocol: "TCP" }];
  const read = readSlice({ metadata, addressType: "IPv4", ports, endpoints, ...more } as RawObject);
  if (read === undefined) throw new Error("no slice of a Service");
  return read;
}

const at = (address: string, more: object = {}) => ({ addresses: [address], ...more });
const around = { nodes: new Map(), pods: new Map() };
const join = (of: Service, slices: readonly Slice[], port?: string, more: object = {}) =>
  rawEndpoints("mesh/web", of, slices, { ...around, ...more }, port);

describe("endpoints of a Service", () => {
  it("have the port of their pods that the Service's first TCP port means", () => {
    const several = service({
      ports: [{ name: "dns", port: 53, protocol: "UDP" }, { name: "grpc", port: 81 }, http],
    });
    const ports = [
      { name: "http", port: 8080 },
      { name: "grpc", port: 9090, protocol: "TCP" },
      { name: "dns", port: 5353, protocol: "UDP" },
      { name: "", port: 1 },
    ];
    const slices = [slice([at("10.0.0.1")], { ports })];
    expect(join(several, slices)[0]).toMatchObject({ address: "10.0.0.1", port: 9090 });
    expect(join(several, slices)[0]?.ports).toEqual(
      new Map([
        ["http", 8080],
        ["grpc", 9090],
      ]),
    );
    expect(join(several, slices, "http")[0]?.port).toBe(8080);
    expect(join(several, slices, "80")[0]?.port).toBe(8080);
    expect(join(several, slices, "dns")[0]?.port).toBe(5353);
    expect(() => join(several, slices, "8080")).toThrow(
      "service mesh/web has no port 8080; it has dns (53), grpc (81), http (80)",
    );
  });

  it("may have one port without a name, or none at all with a number", () => {
    const unnamed = service({ ports: [{ port: 80 }] });
    expect(join(unnamed, [slice([at("10.0.0.1")], { ports: [{ port: 7 }] })])[0]).toMatchObject({
      port: 7,
      ports: new Map(),
    });
    const headless = service({ clusterIP: "None" });
    const slices = [slice([at("10.0.0.1")], { ports: null })];
    expect(join(headless, slices, "8000")[0]?.port).toBe(8000);
    expect(() => join(headless, slices)).toThrow("service mesh/web has no port; it has none");
    expect(() => join(headless, slices, "http")).toThrow("service mesh/web has no port http; it has none");
  });

  it("leave out slices without the port, where pods name other ports", () => {
    const slices = [slice([at("10.0.0.1")]), slice([at("10.0.0.2")], { ports: [{ name: "other", port: 1 }] })];
    expect(join(service(), slices).map(({ address }) => address)).toEqual(["10.0.0.1"]);
  });

  it("are of the first address family of the Service", () => {
    const slices = [slice([at("fd00::1")], { addressType: "IPv6" }), slice([at("10.0.0.1")])];
    const addresses = (ipFamilies?: string[]) =>
      join(service({ ports: [http], ipFamilies }), slices).map((each) => each.address);
    expect(addresses(["IPv6", "IPv4"])).toEqual(["fd00::1"]);
    expect(addresses(["IPv4"])).toEqual(["10.0.0.1"]);
    expect(addresses()).toEqual(["10.0.0.1"]);
    expect(join(service(), [slice([at("fd00::1")], { addressType: "IPv6" })]).length).toBe(1);
  });

  it.each([
    [undefined, "healthy"],
    [{}, "healthy"],
    [{ ready: null }, "healthy"],
    [{ ready: true, serving: true, terminating: false }, "healthy"],
    [{ ready: false }, "unhealthy"],
    [{ ready: false, serving: true, terminating: true }, "draining"],
    [{ ready: false, serving: false, terminating: true }, "draining"],
    [{ ready: true, terminating: true }, "draining"],
  ])("with conditions %j are %s", (conditions, health) => {
    expect(join(service(), [slice([at("10.0.0.1", { conditions })])])[0]?.health).toBe(health);
  });

  it("are where their zone and their node say", () => {
    const labels = {
      "topology.kubernetes.io/region": "eu",
      "topology.kubernetes.io/zone": "eu-1",
      "topology.istio.io/subzone": "rack-7",
      "nvidia.com/gpu.product": "H100",
    };
    const nodes = new Map([["n1", readNode({ metadata: { name: "n1", labels, annotations: { volatile: "1" } } })]]);
    const slices = [
      slice([
        at("10.0.0.1", { nodeName: "n1" }),
        at("10.0.0.2", { nodeName: "n1", zone: "eu-2" }),
        at("10.0.0.3", { zone: "eu-3" }),
      ]),
    ];
    expect(join(service(), slices, undefined, { nodes }).map(({ locality }) => locality)).toEqual([
      { region: "eu", zone: "eu-1", subZone: "rack-7" },
      { region: "eu", zone: "eu-2", subZone: "rack-7" },
      { region: "", zone: "eu-3", subZone: "" },
    ]);
    const [first] = join(service(), slices, undefined, { nodes });
    expect(new Map(first?.metadata ?? [])).toEqual(new Map([["nvidia.com/gpu.product", "H100"]]));
  });

  it("have the metadata of node, Service and pod, the nearest strongest, and weight and name of the pod", () => {
    const nodes = new Map([["n1", readNode({ metadata: { labels: { a: "node", d: "node" } } })]]);
    const pod = readMetadata({
      metadata: { labels: { a: "pod" }, annotations: { "tokenmesh.io/weight": "5", a: "no" } },
    });
    const pods = new Map([["mesh/web-0", pod]]);
    const of = service(
      { ports: [http] },
      { labels: { a: "svc", b: "svc" }, annotations: { "tokenmesh.io/weight": "9" } },
    );
    const target = { targetRef: { kind: "Pod", name: "web-0" }, nodeName: "n1" };
    const slices = [
      slice([
        at("10.0.0.1", target),
        at("10.0.0.2", { targetRef: { kind: "Pod", namespace: "mesh", name: "lost" } }),
        at("10.0.0.3"),
      ]),
    ];
    const [first, second, third] = join(of, slices, undefined, { nodes, pods });
    expect(Object.fromEntries(first?.metadata ?? [])).toEqual({
      a: "pod",
      b: "svc",
      d: "node",
      "tokenmesh.io/weight": "5",
    });
    expect([first?.id, second?.id, third?.id]).toEqual(["mesh/web-0", "mesh/lost", "10.0.0.3:8080"]);
    expect([first?.weight, second?.weight, third?.weight]).toEqual([5, 9, 9]);
    for (const bad of ["", "-1", "1.5", "1e3", "x", "1234567890"]) {
      const wrong = service({ ports: [http] }, { annotations: { "tokenmesh.io/weight": bad } });
      expect(join(wrong, slices)[2]?.weight).toBeUndefined();
    }
  });
});

describe("objects of the API server", () => {
  it("are read as far as they make sense, whatever they are", () => {
    for (const junk of [undefined, null, 0, "x", [], {}, [null], [[]], { a: 1 }]) {
      expect(readService({ metadata: junk, spec: junk } as RawObject)).toMatchObject({ ports: [] });
      expect(readService({ spec: { ports: junk, ipFamilies: junk } })).toMatchObject({ ports: [], family: undefined });
      expect(readNode({ metadata: junk } as RawObject).metadata.size).toBe(0);
      expect(readMetadata({ metadata: { labels: junk, annotations: junk } }).size).toBe(0);
      expect(slice([{ addresses: junk }], { ports: junk }).endpoints).toEqual([]);
      const odd = { conditions: junk, targetRef: junk, zone: junk, nodeName: junk };
      expect(slice([at("10.0.0.1", odd)]).endpoints).toMatchObject([
        { address: "10.0.0.1", ready: true, terminating: false },
      ]);
    }
  });

  it("are of no use as slices of no Service, and of host names", () => {
    const labels = { "kubernetes.io/service-name": "web" };
    expect(readSlice({ metadata: { labels: {} }, addressType: "IPv4" })).toBeUndefined();
    expect(
      readSlice({ metadata: { labels: { ...labels, "kubernetes.io/service-name": "" } }, addressType: "IPv4" }),
    ).toBeUndefined();
    expect(readSlice({ metadata: { labels }, addressType: "FQDN" })).toBeUndefined();
    expect(readSlice({ metadata: { labels }, addressType: "IPv4" })?.endpoints).toEqual([]);
  });

  it("keep neither Kubernetes' own labels, nor long values, nor more than so many", () => {
    const labels = {
      "kubernetes.io/hostname": "x",
      "node.kubernetes.io/instance-type": "x",
      "topology.k8s.io/x": "x",
      "my-kubernetes.io/x": "kept",
      long: "x".repeat(513),
    };
    expect(Object.fromEntries(readMetadata({ metadata: { labels } }))).toEqual({ "my-kubernetes.io/x": "kept" });
    const many = Object.fromEntries(Array.from({ length: 200 }, (_, index) => [`l${index}`, "x"]));
    expect(readMetadata({ metadata: { labels: many } }).size).toBe(128);
    const thousands = Array.from({ length: 1_001 }, (_, index) => at(`10.0.${index >> 8}.${index & 255}`));
    expect(slice(thousands).endpoints.length).toBe(1_000);
  });
});

describe("a service's name", () => {
  it.each([
    ["web", { namespace: "mesh", name: "web", port: undefined }],
    ["web:http", { namespace: "mesh", name: "web", port: "http" }],
    ["other/web:8080", { namespace: "other", name: "web", port: "8080" }],
    ["0-a", { namespace: "mesh", name: "0-a", port: undefined }],
  ])("%s is read", (text, expected) => {
    expect(parseServiceName(text, ["mesh", "other"])).toEqual(expected);
  });

  it("has the source's port when it says none", () => {
    expect(parseServiceName("web", ["mesh"], "grpc").port).toBe("grpc");
    expect(parseServiceName("web:http", ["mesh"], "grpc").port).toBe("http");
  });

  it.each([
    "",
    "/",
    "a/",
    "/a",
    "a/b/c",
    "A",
    "a.b",
    "-a",
    "a-",
    "a:",
    ":80",
    "a:b:c",
    "a b",
    "../a",
    "a\n",
    "x".repeat(64),
  ])("%j is refused", (text) => {
    expect(() => parseServiceName(text, ["mesh"])).toThrow(/is no service: write/);
  });

  it("is of a namespace that is read", () => {
    expect(() => parseServiceName("secret/web", ["mesh", "other"])).toThrow(
      "namespace secret is none of those that the source reads (mesh, other)",
    );
  });
});
