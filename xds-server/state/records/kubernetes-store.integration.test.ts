import { KubernetesCluster, missingKubernetes } from "../../../test/fixtures/discovery/kubernetes-cluster.ts";
import { systemTiming } from "../../../test/fixtures/discovery/kubernetes-timing.ts";
import { describeRecordStore } from "../../../test/state/record-store-suite.ts";
import { KubernetesRecordStore } from "./kubernetes-store.ts";

const reason = missingKubernetes();

describeRecordStore(
  "Record store on ConfigMaps (kube-apiserver)",
  async () => {
    const server = await KubernetesCluster.start();
    const cluster = server.cluster();
    return {
      open: async () => new KubernetesRecordStore({ cluster, timing: systemTiming }),
      shared: true,
      durable: true,
      clear: async () => {
        const store = new KubernetesRecordStore({ cluster, timing: systemTiming });
        for (const key of (await store.list("")).keys()) await store.delete(key);
        await store.close();
      },
      outage: { begin: () => server.stopServer(), end: () => server.startServer() },
      dispose: () => server.close(),
    };
  },
  reason === undefined ? { runs: 10 } : { skip: reason },
);
