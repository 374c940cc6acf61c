import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { ControlPlaneFixture } from "../../test/fixtures/control-plane.ts";
import { GATEWAY, service } from "../../test/fixtures/control-plane-documents.ts";
import { SERVER } from "../../test/fixtures/tls/index.ts";
import { formatError } from "../config/index.ts";

/** Which Envoys are served what: Gateways, resources as they are, and secrets. */

let plane: ControlPlaneFixture;

beforeEach(() => {
  plane = new ControlPlaneFixture();
});

afterEach(() => plane.dispose());

describe("node groups", () => {
  const group = (name: string, labels: string, match = `[{cluster: ${name}}]`) => `
apiVersion: tokenmesh.io/v1alpha1
kind: NodeGroup
metadata: {name: ${name}}
spec: {match: ${match}, labels: ${labels}}`;
  const gateway = (name: string, selector: string) =>
    GATEWAY.replace("name: edge", `name: ${name}`).replace("spec: {", `spec: {selector: ${selector}, `);
  const listeners = (name: string) => [...plane.versions(name).keys()].filter((key) => key.startsWith("LDS"));
  const node = (cluster: string) =>
    plane.cache.nodeHash({
      id: "n",
      cluster,
      locality: { region: "", zone: "", subZone: "" },
      metadata: {},
      clientFeatures: [],
      dynamicParameters: {},
    });

  it("without any, selectors play no role", () => {
    plane.write("a.yaml", gateway("edge", "{app: x}"));
    plane.control.load();
    expect([plane.cache.groups(), listeners("default"), node("x")]).toEqual([
      ["default"],
      ["LDS default/edge/http"],
      "default",
    ]);
  });

  it("get the Gateways that select their labels, and all clusters; what they have in common is the same object", () => {
    plane.write(
      "a.yaml",
      group("a", "{tier: edge, zone: eu}"),
      group("b", "{tier: edge}"),
      gateway("all", "{}"),
      gateway("eu", "{tier: edge, zone: eu}"),
      gateway("edge", "{tier: edge}"),
      service("app"),
    );
    plane.control.load();
    expect(plane.cache.groups()).toEqual(["a", "b", "default"]);
    const names = ["a", "b", "default"].map((name) => listeners(name).map((each) => each.split("/")[1]));
    expect(names).toEqual([["all", "edge", "eu"], ["all", "edge"], ["all"]]);
    expect(["a", "b", "c"].map(node)).toEqual(["a", "b", "default"]);
    const [inA, inB] = [plane.resources("a"), plane.resources("b")];
    expect(inB.filter((each) => !inA.includes(each))).toEqual([]);
  });

  it("change one by one, and go when their document goes", () => {
    plane.write("a.yaml", group("a", "{tier: edge}"), gateway("edge", "{tier: edge}"));
    plane.control.load();
    const [a, others] = [plane.control.version("a"), plane.control.version("default")];
    plane.write("b.yaml", gateway("two", "{tier: edge}"));
    plane.control.load();
    expect(plane.control.version("default")).toBe(others);
    expect(plane.control.version("a")).not.toBe(a);
    plane.write("a.yaml", gateway("edge", "{tier: edge}"));
    plane.control.load();
    expect([plane.cache.groups(), node("a"), listeners("default").length]).toEqual([["default"], "default", 2]);
  });
});

describe("resources as they are, and secrets", () => {
  const own = (resources: string, groups = "[edge]") => `
apiVersion: tokenmesh.io/v1alpha1
kind: EnvoyResources
metadata: {name: own}
spec:
  nodeGroups: ${groups}
  resources:
  - ${resources}`;
  const TYPE = '"@type": type.googleapis.com/envoy.config';
  const group = `
apiVersion: tokenmesh.io/v1alpha1
kind: NodeGroup
metadata: {name: edge}
spec: {match: [{cluster: edge}], labels: {app: edge}}`;
  const secure = `
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: secure}
spec:
  selector: {app: edge}
  servers: [{port: {number: 0, name: https, protocol: HTTPS}, tls: {credentialName: shop}, hosts: ["*"]}]`;
  const secret = (name: string) =>
    JSON.stringify({
      apiVersion: "v1",
      kind: "Secret",
      metadata: { name },
      type: "kubernetes.io/tls",
      stringData: { "tls.crt": SERVER.cert, "tls.key": SERVER.key },
    });
  const names = (of: string) => [...plane.versions(of).keys()];

  it("go to their groups; secrets to those that name them, and nobody is shown them", () => {
    plane.write("a.yaml", group, secure, own(`{${TYPE}.cluster.v3.Cluster, name: extra, type: STATIC}`));
    plane.write("b.yaml", secret("shop"), secret("unused"));
    expect([plane.control.load(), plane.control.errors]).toEqual(["published", []]);
    expect(names("edge")).toEqual([
      "CDS extra",
      "SDS default/shop",
      "LDS default/secure/https",
      "RDS default/secure/https",
    ]);
    expect(names("default")).toEqual([]);
    const shown = JSON.stringify(plane.control.view("edge"));
    expect(shown).toContain("(hidden)");
    expect(shown).not.toContain("PRIVATE");
  });

  it("of a name that is taken, or that name what their group does not have, are refused where they stand", () => {
    const faults = (resources: string, groups?: string) => {
      plane.write("a.yaml", group, service("app"), own(resources, groups));
      return plane.control.load() === "rejected" ? plane.control.errors.map(formatError) : [];
    };
    expect(faults(`{${TYPE}.cluster.v3.Cluster, name: outbound|80||app.test, type: STATIC}`)).toEqual([
      expect.stringMatching(
        /a\.yaml:24:5: TM_CONFIG_DUPLICATE node group edge has CDS resource outbound\|80\|\|app\.test already/,
      ),
    ]);
    const eds = `{${TYPE}.cluster.v3.Cluster, name: c, type: EDS, eds_cluster_config: {eds_config: {ads: {}}}}`;
    expect(faults(eds)).toEqual([
      expect.stringMatching(
        /:24:5: TM_CONFIG_UNKNOWN_REFERENCE CDS resource c names EDS resource c, which node group edge/,
      ),
    ]);
    // In both groups, and told once.
    expect(faults(eds, "[edge, default]")).toHaveLength(1);
    expect(faults(eds.replace("{ads: {}}", "{path_config_source: {path: /x}}"))).toEqual([]);
    expect(faults(`${eds}\n  - {${TYPE}.endpoint.v3.ClusterLoadAssignment, cluster_name: c}`)).toEqual([]);
    expect(plane.control.check({ put: [{ file: "x", text: own(eds) }] }).errors).toHaveLength(1);
  });
});
