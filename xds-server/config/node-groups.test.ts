import { describe, expect, it } from "vitest";
import { formatError, type Model, parseConfig } from "./index.ts";
import { groupOf, servedGroups } from "./node-groups.ts";

/** Who is in which group, and what is wrong with groups. */

const group = (name: string, spec: string, namespace = "default") => `
apiVersion: tokenmesh.io/v1alpha1
kind: NodeGroup
metadata: {name: ${name}, namespace: ${namespace}}
spec: ${spec}`;
const gateway = (name: string, selector: string, port = 80) => `
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: ${name}}
spec: {selector: ${selector}, servers: [{port: {number: ${port}, name: http, protocol: HTTP}, hosts: ["*"]}]}`;
const parse = (...texts: readonly string[]) => parseConfig([{ file: "a.yaml", text: texts.join("\n---") }]);
function model(...texts: readonly string[]): Model {
  const result = parse(...texts);
  if (!result.ok) throw new Error(result.errors.map(formatError).join("\n"));
  return result.model;
}
const node = (fields: object) => ({
  id: "",
  cluster: "",
  locality: { region: "", zone: "", subZone: "" },
  metadata: {},
  dynamicParameters: {},
  ...fields,
});

describe("a node", () => {
  const groups = servedGroups(
    model(
      group("c", '{match: [{cluster: "web*"}]}'),
      group("a", '{match: [{id: n1, cluster: web-1}, {locality: {region: eu, zone: "eu-1*"}}]}', "other"),
      group(
        "b",
        '{match: [{metadata: {app.tier: edge, "topology.kubernetes.io/zone": "z*"}}, {metadata: {canary: "true"}}]}',
      ),
    ),
  );
  it.each([
    ["default", {}],
    ["c", { cluster: "web" }],
    ["c", { cluster: "web-2", id: "n1" }],
    ["a", { cluster: "web-1", id: "n1" }],
    ["a", { cluster: "web", locality: { region: "eu", zone: "eu-1b", subZone: "" } }],
    ["default", { locality: { region: "us", zone: "eu-1b", subZone: "" } }],
    ["b", { cluster: "web", metadata: { app: { tier: "edge" }, "topology.kubernetes.io/zone": "z1" } }],
    ["b", { metadata: { "app.tier": "edge", topology: { "kubernetes.io/zone": "z" } } }],
    ["b", { metadata: { canary: true } }],
    ["default", { metadata: { app: { tier: ["edge"] }, "topology.kubernetes.io/zone": "z1" } }],
    ["default", { metadata: { app: null, canary: null } }],
    ["default", { metadata: JSON.parse('{"__proto__": {"canary": "true"}}') as object }],
  ])("is in %s: %o", (expected, fields) => {
    expect(groupOf(node(fields), groups)).toBe(expected);
  });
});

describe("a node's dynamic parameters", () => {
  const CDS = "type.googleapis.com/envoy.config.cluster.v3.Cluster";
  const LDS = "type.googleapis.com/envoy.config.listener.v3.Listener";
  const groups = servedGroups(
    model(
      group("any", '{match: [{dynamicParameters: {shard: "b*", canary: "yes"}}]}'),
      group("one", `{match: [{dynamicParameters: {${LDS}/a.b/c: x}}]}`),
      group("two", "{match: [{cluster: web, dynamicParameters: {a/b: x}}, {dynamicParameters: {valueOf: x}}]}"),
    ),
  );
  it.each([
    ["default", {}, undefined],
    ["any", { [CDS]: { shard: "b", canary: "yes" } }, undefined],
    ["any", { [CDS]: { shard: "b1" }, [LDS]: { canary: "yes" } }, undefined],
    ["any", { "made.up/Type": { shard: "b1", canary: "yes" } }, undefined],
    ["default", { [CDS]: { shard: "b" }, [LDS]: { canary: "no" } }, undefined],
    ["any", { [CDS]: { shard: "b", canary: "yes" } }, CDS],
    ["default", { [CDS]: { shard: "b", canary: "yes" } }, LDS],
    ["default", { [CDS]: { shard: "b" }, [LDS]: { canary: "yes" } }, CDS],
    ["one", { [LDS]: { "a.b/c": "x" } }, undefined],
    ["one", { [LDS]: { "a.b/c": "x" } }, CDS],
    ["default", { [CDS]: { "a.b/c": "x" } }, undefined],
    ["two", { [CDS]: { "a/b": "x" } }, undefined],
    ["default", JSON.parse('{"__proto__": {"canary": "yes", "shard": "b"}}') as object, "__proto__x"],
  ])("put it in %s: %j on a stream for %s", (expected, dynamicParameters, onlyType) => {
    expect(groupOf(node({ cluster: "web", dynamicParameters }), groups, onlyType)).toBe(expected);
  });
});

describe("errors", () => {
  it.each([
    [
      "a name in two namespaces",
      [group("a", "{match: [{id: x}]}"), group("a", "{match: [{id: y}]}", "other")],
      "NodeGroup a is already defined at a.yaml:4",
    ],
    ["no match", [group("a", "{labels: {x: y}}")], "nothing says which Envoys are in this group"],
    ["a match of nothing", [group("a", "{match: [{}]}")], "spec.match[0]: says nothing about Envoys"],
    ["a star inside", [group("a", '{match: [{id: "a*b"}]}')], "is not a text, or the beginning of one"],
    [
      "too long a path",
      [group("a", "{match: [{metadata: {a.b.c.d.e.f.g.h.i: x}}]}")],
      "is not a path of at most 8 parts",
    ],
    [
      "a parameter of a type that is none",
      [group("a", "{match: [{dynamicParameters: {type.googleapis.com/envoy.config.cluster.v3.Clusters/x: y}}]}")],
      "is not the name of a parameter, or the URL of a type that is served",
    ],
    [
      "a type without a parameter",
      [group("a", "{match: [{dynamicParameters: {type.googleapis.com/envoy.config.cluster.v3.Cluster: y}}]}")],
      "is not the name of a parameter",
    ],
    ["no parameters", [group("a", "{match: [{dynamicParameters: {}}]}")], "needs at least 1 entry"],
    ["a match of default", [group("default", "{match: [{id: x}]}")], "the group default is that of all Envoys"],
    [
      "one address twice in a group",
      [group("a", "{match: [{id: x}], labels: {l: a}}"), gateway("one", "{l: a}"), gateway("two", "{}")],
      "0.0.0.0:80 is already used by another server",
    ],
  ])("%s", (_what, texts, expected) => {
    const result = parse(...texts);
    expect(result.ok ? [] : result.errors.map(formatError)).toEqual([expect.stringContaining(expected)]);
  });

  it("one address in two groups is none", () => {
    model(
      group("a", "{match: [{id: x}], labels: {l: a}}"),
      group("b", "{match: [{id: y}], labels: {l: b}}"),
      gateway("one", "{l: a}"),
      gateway("two", "{l: b}"),
    );
  });

  it("a Gateway that nobody gets is worth a warning, once there are groups", () => {
    expect(parse(gateway("one", "{l: a}"))).toMatchObject({ ok: true, warnings: [] });
    const result = parse(gateway("one", "{l: a}"), group("default", "{labels: {l: b}}"));
    expect(result.warnings.map(formatError)).toEqual([
      expect.stringMatching(/^a\.yaml:5:\d+: TM_CONFIG_UNUSED no NodeGroup has the labels that Gateway default\/one/),
    ]);
    expect(parse(gateway("one", "{l: b}"), group("default", "{labels: {l: b}}")).warnings).toEqual([]);
  });
});
