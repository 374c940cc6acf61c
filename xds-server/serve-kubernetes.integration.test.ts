import { KubernetesCluster, missingKubernetes } from "../test/fixtures/discovery/kubernetes-cluster.ts";
import { describeReplicas } from "../test/state/replica-suite.ts";
import { ApiClient } from "./kubernetes/index.ts";

/** Several servers on the ConfigMaps of one cluster, with the rights that docs/discovery.md names and no others; npm run test:integration -- kubernetes */

const VERBS = ["get", "list", "watch", "create", "update", "delete"];
const RBAC = "rbac.authorization.k8s.io";

const reason = missingKubernetes();

describeReplicas(
  "Replicas on Kubernetes",
  async () => {
    const cluster = await KubernetesCluster.start();
    const client = new ApiClient(cluster.cluster(), 5_000);
    let namespaces = 0;
    let away = false;
    return {
      fresh: async () => {
        const name = `place-${namespaces++}`;
        const namespace = { apiVersion: "v1", kind: "Namespace", metadata: { name } };
        await client.call("POST", "/api/v1/namespaces", { body: namespace });
        const role = {
          apiVersion: `${RBAC}/v1`,
          kind: "Role",
          metadata: { name: "state" },
          rules: [{ apiGroups: [""], resources: ["configmaps"], verbs: VERBS }],
        };
        const binding = {
          apiVersion: `${RBAC}/v1`,
          kind: "RoleBinding",
          metadata: { name: "state" },
          roleRef: { apiGroup: RBAC, kind: "Role", name: "state" },
          subjects: [{ apiGroup: RBAC, kind: "User", name: "reader" }],
        };
        const path = `/apis/${RBAC}/v1/namespaces/${name}`;
        await client.call("POST", `${path}/roles`, { body: role });
        await client.call("POST", `${path}/rolebindings`, { body: binding });
        return { state: `kubernetes:${name}`, env: { KUBECONFIG: cluster.kubeconfig("reader") } };
      },
      outage: {
        begin: async () => {
          away = true;
          await cluster.stopServer();
        },
        end: async () => {
          if (away) await cluster.startServer();
          away = false;
        },
      },
      dispose: async () => {
        client.close();
        await cluster.close();
      },
    };
  },
  reason === undefined ? {} : { skip: reason },
);
