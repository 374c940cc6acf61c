import { describe, it } from "vitest";
import { describeApiServer } from "../../test/conformance/kubernetes-api.ts";
import { KubernetesCluster, missingKubernetes } from "../../test/fixtures/discovery/kubernetes-cluster.ts";

const reason = missingKubernetes();

if (reason === undefined) {
  describeApiServer("API server (kube-apiserver)", async () => {
    const server = await KubernetesCluster.start();
    // Its cache of changes begins with its start.
    await server.stopServer();
    await server.startServer();
    return { cluster: server.cluster(), close: () => server.close() };
  });
} else {
  describe("API server (kube-apiserver)", () => {
    it("runs", (context) => context.skip(reason));
  });
}
