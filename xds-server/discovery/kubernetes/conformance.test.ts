import type { IncomingMessage, ServerResponse } from "node:http";
import { describeDiscovery, type HostileAnswer } from "../../../test/conformance/discovery.ts";
import { FakeApiServer } from "../../../test/fixtures/discovery/kubernetes-api-server.ts";
import { KubernetesObjects } from "../../../test/fixtures/discovery/kubernetes-objects.ts";
import { discoverySpec, kubernetesSpec } from "../../../test/fixtures/discovery/kubernetes-spec.ts";
import { silentLogger } from "../../log.ts";
import { systemClock } from "../clock.ts";
import { KubernetesSource } from "./source.ts";

const namespace = "mesh";
describeDiscovery(
  "Kubernetes (fake API server)",
  async () => {
    const server = await FakeApiServer.start();
    const cluster = { server: server.url, namespace, credentials: async () => ({ headers: {}, tls: {} }) };
    const objects = new KubernetesObjects(cluster, namespace);
    const context = { name: "mesh/kubernetes", clock: systemClock, random: () => 0, log: silentLogger };
    return {
      source: new KubernetesSource(kubernetesSpec(), discoverySpec(kubernetesSpec()).metadata, context, {
        open: async () => cluster,
        answerTimeoutMs: 1_000,
      }),
      put: (service, endpoints) => objects.put(service, endpoints),
      remove: (service) => objects.remove(service),
      setHealth: (service, id, health) => objects.setHealth(service, id, health),
      stop: () => server.stop(),
      restart: () => server.listen(),
      hostile: async (answer) => {
        server.intercept = answer && ((request, response) => lie(answer, request, response));
        server.breakConnections();
      },
      close: async () => {
        objects.close();
        await server.stop();
      },
    };
  },
  { healths: ["healthy", "unhealthy", "draining"] },
);

function lie(answer: HostileAnswer, request: IncomingMessage, response: ServerResponse): boolean {
  if (answer === "silent") return true;
  if (answer === "error") response.writeHead(500).end("<html>out of order</html>");
  if (answer === "garbage") response.writeHead(200).end('{"kind": "List"}\n\u0000<html>');
  if (answer === "endless") {
    const more = () => {
      while (!request.socket.destroyed && response.write("x".repeat(1 << 20)));
    };
    response.writeHead(200).on("drain", more);
    more();
  }
  return true;
}
