import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { waitFor } from "../../../envoy/harness/index.ts";
import { describeDiscovery } from "../../../test/conformance/discovery.ts";
import { KubernetesCluster, missingKubernetes } from "../../../test/fixtures/discovery/kubernetes-cluster.ts";
import { KubernetesObjects } from "../../../test/fixtures/discovery/kubernetes-objects.ts";
import { discoverySpec, kubernetesSpec } from "../../../test/fixtures/discovery/kubernetes-spec.ts";
import { ApiClient } from "../../kubernetes/index.ts";
import { silentLogger } from "../../log.ts";
import { systemClock } from "../clock.ts";
import type { DiscoveryError } from "../errors.ts";
import type { DiscoveredEndpoint } from "../source.ts";
import { kubernetesSource } from "./index.ts";

const reason = missingKubernetes();

describe("on a real API server", () => {
  if (reason !== undefined) {
    it("runs", (context) => context.skip(reason));
    return;
  }

  let server: KubernetesCluster;
  let namespaces = 0;
  beforeAll(async () => {
    server = await KubernetesCluster.start();
  });
  afterAll(async () => {
    await server?.close();
  });

  describeDiscovery(
    "Kubernetes (kube-apiserver)",
    async () => {
      const namespace = `mesh-${++namespaces}`;
      const objects = new KubernetesObjects(server.cluster(), namespace);
      await objects.apply("namespaces", namespace, {});
      const context = { name: `${namespace}/kubernetes`, clock: systemClock, random: () => 0, log: silentLogger };
      const spec = kubernetesSpec({ kubeconfig: server.kubeconfig("admin", namespace) });
      return {
        source: kubernetesSource(discoverySpec(spec), context),
        put: (service, endpoints) => objects.put(service, endpoints),
        remove: (service) => objects.remove(service),
        setHealth: (service, id, health) => objects.setHealth(service, id, health),
        stop: () => server.stopServer(),
        restart: () => server.startServer(),
        close: async () => objects.close(),
      };
    },
    { healths: ["healthy", "unhealthy", "draining"], timeoutMs: 60_000 },
  );

  it("does with the rights that it has, and with more as soon as it has them", async () => {
    const namespace = `rights-${++namespaces}`;
    const objects = new KubernetesObjects(server.cluster(), namespace);
    await objects.apply("namespaces", namespace, {});
    const locality = { region: "eu", zone: "eu-1", subZone: "" };
    await objects.put("web", [{ id: "0", address: "10.0.0.1", port: 8080, locality }]);
    const warnings: string[] = [];
    const log = (_: string, message: string) => warnings.push(message);
    const context = { name: "rights/kubernetes", clock: systemClock, random: () => 0, log };
    const spec = kubernetesSpec({ kubeconfig: server.kubeconfig("reader", namespace), pods: false });
    const source = kubernetesSource(discoverySpec(spec), context);
    const answers: (readonly DiscoveredEndpoint[])[] = [];
    const failures: DiscoveryError[] = [];
    source.watch("web", { endpoints: (all) => answers.push(all), failed: (error) => failures.push(error) });
    try {
      await waitFor(() => failures.length > 0, { what: "the refusal" });
      expect(failures[0]?.code).toBe("TM_DISCOVERY_DENIED");
      expect(failures[0]?.message).toMatch(/is forbidden: User "reader" cannot list resource/);
      await allow(namespace, "Role", [
        ["", "services"],
        ["discovery.k8s.io", "endpointslices"],
      ]);
      await waitFor(() => answers.at(-1)?.length === 1, { what: "the endpoint" });
      expect(answers.at(-1)?.[0]?.locality).toEqual({ region: "", zone: "eu-1", subZone: "" });
      await allow(namespace, "ClusterRole", [["", "nodes"]]);
      const region = () => answers.at(-1)?.[0]?.locality?.region;
      await waitFor(() => region() === "eu", { what: "the region", timeoutMs: 60_000 });
      expect(warnings).toEqual(["endpoints have no region: this server may not read nodes"]);
    } finally {
      await source.close();
      objects.close();
    }
  });

  /** Lets `reader` list and watch. */
  async function allow(namespace: string, kind: "Role" | "ClusterRole", what: readonly (readonly [string, string])[]) {
    const client = new ApiClient(server.cluster());
    const group = "rbac.authorization.k8s.io";
    const [scope, plural] = kind === "Role" ? [`namespaces/${namespace}/`, "roles"] : ["", "clusterroles"];
    const path = `/apis/${group}/v1/${scope}${plural.replace(/s$/, "")}`;
    const rules = what.map(([apiGroup, resource]) => ({
      apiGroups: [apiGroup],
      resources: [resource],
      verbs: ["list", "watch"],
    }));
    const metadata = { name: namespace };
    const subjects = [{ kind: "User", name: "reader", apiGroup: group }];
    const roleRef = { kind, name: namespace, apiGroup: group };
    await client.call("POST", `${path}s`, { body: { metadata, rules } });
    await client.call("POST", `${path}bindings`, { body: { metadata, subjects, roleRef } });
    client.close();
  }
});
