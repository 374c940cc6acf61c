import { KubernetesCluster, missingKubernetes } from "../test/fixtures/discovery/kubernetes-cluster.ts";
import { describeReplicas } from "../test/state/replica-suite.ts";
import { ApiClient } from "./kubernetes/index.ts";

/** Several servers on the ConfigMaps of one cluster; npm run test:integration -- kubernetes */

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
        const body = { apiVersion: "v1", kind: "Namespace", metadata: { name } };
        await client.call("POST", "/api/v1/namespaces", { body });
        return { state: `kubernetes:${name}`, env: { KUBECONFIG: cluster.kubeconfig("admin") } };
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
