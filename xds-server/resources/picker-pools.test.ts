import { describe, expect, it } from "vitest";
import { rankedPriorities } from "../config/endpoint-selection.ts";
import { formatError, type Model, parseConfig } from "../config/index.ts";
import { clusterLoadAssignment } from "./endpoints.ts";
import { envoyAddress, loadsPools, pickedClusters, resolvedPools } from "./picker-pools.ts";
import { clusterName, clusterTargets, indexServices } from "./service-index.ts";

const GATEWAY = `
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: edge}
spec: {servers: [{port: {number: 80, name: http, protocol: HTTP}, hosts: ["*"]}]}
---`;
const service = (name: string, endpoints: string) => `
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: ${name}}
spec:
  hosts: [${name}.test]
  ports: [{number: 80, name: http, protocol: HTTP}, {number: 81, name: b, protocol: HTTP}]
  resolution: STATIC
  endpoints: [${endpoints}]
---`;
const picker = (pools: string, name = "picks", more = "") => `
apiVersion: tokenmesh.io/v1alpha1
kind: EndpointPicker
metadata: {name: ${name}}
spec: {pools: [${pools}]${more}}
---`;

function modelOf(...texts: readonly string[]): Model {
  const result = parseConfig([{ file: "f.yaml", text: texts.join("") }]);
  if (!result.ok) throw new Error(result.errors.map(formatError).join("\n"));
  return result.model;
}

const POOL = "{name: main, host: a.test, port: 80}";

describe("addresses", () => {
  it.each([
    ["192.0.2.1", "192.0.2.1:80"],
    ["2001:DB8:0:0:0:0:0:1", "[2001:db8::1]:80"],
    ["::1", "[::1]:80"],
    ["::FFFF:192.0.2.1", "[::ffff:192.0.2.1]:80"],
    ["fd00:0:0:1:0:0:0:1", "[fd00:0:0:1::1]:80"],
  ])("%s is %s", (address, expected) => {
    expect(envoyAddress(address, 80)).toBe(expected);
  });
});

describe("weights", () => {
  const weights = (...of: readonly number[]) => {
    const endpoints = of.map((weight, index) => `{address: 192.0.2.${index}, weight: ${weight}}`).join();
    const model = modelOf(GATEWAY, service("a", endpoints), picker(POOL));
    const [each] = model.endpointPickers.flatMap((doc) => resolvedPools(doc, undefined, indexServices(model)));
    return each?.endpoints?.map(({ weight }) => weight);
  };

  it.each([
    [
      [1, 1],
      [1, 1],
    ],
    [
      [7, 7],
      [1, 1],
    ],
    [
      [100, 250],
      [2, 5],
    ],
    [
      [1000, 1],
      [1000, 1],
    ],
    [
      [2000, 3],
      [1000, 2],
    ],
    [
      [1_000_000, 1],
      [1000, 1],
    ],
    [
      [999_999, 999_998],
      [1000, 1000],
    ],
  ])("%j are %j for the filter", (of, expected) => {
    expect(weights(...of)).toEqual(expected);
  });
});

describe("priorities", () => {
  const priorities = (...of: readonly (string | undefined)[]) => {
    const labels = (label: string | undefined) =>
      label === undefined ? "" : `, labels: {tokenmesh.io/priority: "${label}"}`;
    const endpoints = of.map((label, index) => `{address: 192.0.2.${index}${labels(label)}}`).join();
    const model = modelOf(GATEWAY, service("a", endpoints), picker(POOL));
    const index = indexServices(model);
    const [pool] = model.endpointPickers.flatMap((doc) => resolvedPools(doc, undefined, index));
    const [cluster] = [...clusterTargets(index)].map((target) => clusterLoadAssignment(target));
    const groups = cluster?.endpoints as { priority?: number; lb_endpoints: { endpoint: { address: unknown } }[] }[];
    const assigned = groups.flatMap(({ priority = 0, lb_endpoints }) =>
      lb_endpoints.map(({ endpoint }) => [JSON.stringify(endpoint.address).match(/192[\d.]+/)?.[0], priority]),
    );
    return {
      picked: pool?.endpoints?.map(({ priority }) => priority),
      assigned: of.map((_, index) => new Map(assigned as [string, number][]).get(`192.0.2.${index}`)),
    };
  };

  it.each([
    [
      [undefined, undefined],
      [0, 0],
    ],
    [
      [undefined, "1"],
      [0, 1],
    ],
    // Envoy wants none left out.
    [
      ["5", "127", undefined, "5"],
      [1, 2, 0, 1],
    ],
    [
      ["3", "3"],
      [0, 0],
    ],
    [
      ["10", "9", "127"],
      [1, 0, 2],
    ],
  ])("%j are %j for the filter and for Envoy", (of, expected) => {
    expect(priorities(...of)).toEqual({ picked: expected, assigned: expected });
  });

  it.each(["128", "-1", "01", "1.5", "high"])("%s is none", (label) => {
    const endpoints = `{address: 192.0.2.1, labels: {tokenmesh.io/priority: "${label}"}}`;
    const result = parseConfig([{ file: "f.yaml", text: GATEWAY + service("a", endpoints) }]);
    expect(result.ok ? [] : result.errors.map(({ code }) => code)).toContain("TM_CONFIG_INVALID_VALUE");
  });

  it("of a discovery source that says anything are 0", () => {
    const model = modelOf(GATEWAY, service("a", "{address: 192.0.2.1}"), picker(POOL));
    const [entry] = model.serviceEntries;
    const [endpoint] = entry?.endpoints ?? [];
    if (endpoint === undefined) throw new Error("no endpoint");
    const labelled = { ...endpoint, labels: new Map([["tokenmesh.io/priority", "high"]]) };
    expect(rankedPriorities([labelled, endpoint])(labelled)).toBe(0);
  });
});

describe("health", () => {
  it.each([
    [undefined, undefined, false],
    ["healthy", undefined, false],
    ["unknown", undefined, false],
    ["degraded", "degraded", false],
    ["unhealthy", "unhealthy", false],
    ["draining", undefined, true],
  ] as const)("%s is %s, draining %s, for the filter", (health, expected, draining) => {
    const model = modelOf(GATEWAY, service("a", "{address: 192.0.2.1}"), picker(POOL));
    const serviceEntries = model.serviceEntries.map((entry) => ({
      ...entry,
      endpoints: entry.endpoints.map((each) => (health === undefined ? each : { ...each, health })),
    }));
    const index = indexServices({ ...model, serviceEntries });
    const [pool] = model.endpointPickers.flatMap((doc) => resolvedPools(doc, undefined, index));
    expect(pool?.endpoints?.[0]).toMatchObject({ health: expected, draining });
  });
});

describe("targets", () => {
  const ROUTER = `
apiVersion: tokenmesh.io/v1alpha1
kind: LLMRouter
metadata: {name: chat}
spec:
  targets: {own: {cluster: "a.test:80"}, same: {cluster: "a.test:80"}, other: {cluster: "a.test:81"}, way: {route: road}}
  rules: [{name: r, targets: [{target: own}]}]
  models: [{model: m, route: lane}]
---`;
  const targets = (fields: string) => {
    const text = picker(`{name: main, host: a.test, port: 80${fields}}`);
    const model = modelOf(GATEWAY, service("a", "{address: 192.0.2.1}"), ROUTER, text);
    return model.endpointPickers.flatMap((doc) => resolvedPools(doc, model.llmRouters[0], indexServices(model)))[0]
      ?.targets;
  };

  it("are what the router writes: names of clusters, and routes", () => {
    expect(targets(", targets: [same, way, lane, road]")).toEqual(["llm/default/chat/same", "road", "lane"]);
  });

  it("that are not named are those of the pool's service and port", () => {
    expect(targets("")).toEqual(["llm/default/chat/own", "llm/default/chat/same"]);
  });
});

describe("clusters that follow the picks", () => {
  const RULE = `
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: a}
spec: {host: a.test, subsets: [{name: v1, labels: {}}, {name: v2, labels: {}}]}
---`;
  const picked = (text: string) => {
    const model = modelOf(service("a", "{address: 192.0.2.1}"), service("b", "{address: 192.0.2.2}"), RULE, text);
    const index = indexServices(model);
    return [...clusterTargets(index)].filter(pickedClusters(model, index)).map(clusterName);
  };

  it("are all of the host and port", () => {
    expect(picked(GATEWAY + picker(POOL))).toEqual([
      "outbound|80||a.test",
      "outbound|80|v1|a.test",
      "outbound|80|v2|a.test",
    ]);
  });

  it("or that of the subset", () => {
    expect(picked(GATEWAY + picker("{name: main, host: a.test, port: 81, subset: {name: v2}}"))).toEqual([
      "outbound|81|v2|a.test",
    ]);
  });

  it("of labels, all: the labels say who is picked, not what there is", () => {
    expect(picked(GATEWAY + picker("{name: main, host: a.test, port: 81, subset: {labels: {}}}"))).toHaveLength(3);
  });

  it("and none of a document that is in no Gateway", () => {
    expect(picked(picker(POOL))).toEqual([]);
  });
});

describe("pools of the loads feed", () => {
  const pools = (...texts: readonly string[]) =>
    Object.fromEntries(
      loadsPools(modelOf(GATEWAY, service("a", "{address: 192.0.2.1}, {address: 192.0.2.2}"), ...texts)),
    );
  const feed = (intervalMs: number) => `, feed: {intervalMs: ${intervalMs}}`;

  it("have addresses, and the shortest interval of those of one name", () => {
    const b = service("b", "{address: 192.0.2.2}, {address: 192.0.2.3}");
    const namespaced = picker("{name: main, host: b.test, port: 80}", "more", feed(100)).replace(
      "{name: more}",
      "{name: more, annotations: {tokenmesh.io/gateways: ' '}}",
    );
    expect(pools(b, picker(POOL, "picks", feed(500)), namespaced)).toEqual({
      main: { addresses: ["192.0.2.2:80", "192.0.2.3:80", "192.0.2.1:80"], intervalMs: 100 },
    });
  });

  it("are those of documents with a feed", () => {
    expect(pools(picker(POOL, "picks", ", feed: false"))).toEqual({});
    expect(pools(picker(POOL))).toEqual({ main: { addresses: ["192.0.2.1:80", "192.0.2.2:80"], intervalMs: 250 } });
  });
});
