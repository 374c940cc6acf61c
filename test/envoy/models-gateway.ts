/** One Gateway for the models of one upstream, as YAML for the xDS server, and Envoys that have it from there. */
import { adsBootstrap, EnvoyProcess, waitFor } from "../../envoy/harness/index.ts";
import { serviceEntry } from "./service-entry.ts";

/** Documents: what comes in at the Gateway `edge` goes to `models.test`, which is `port` of 127.0.0.1. */
export function modelsGateway(port: number): string {
  return `
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: edge}
spec: {servers: [{port: {number: 0, name: http, protocol: HTTP}, bind: 127.0.0.1, hosts: ["*"]}]}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: models}
spec: {hosts: ["*"], http: [{route: [{destination: {host: models.test}}]}]}
---
${serviceEntry("models", port)}
---`;
}

/** With two workers, and no objection to a server that goes away. */
export function startEnvoy(version: string, xdsAddress: string, nodeId: string): Promise<EnvoyProcess> {
  return EnvoyProcess.start({
    version,
    bootstrap: adsBootstrap({ xdsAddress, nodeId, cluster: "test" }),
    concurrency: 2,
    allowErrors: [/gRPC config/, /StreamAggregatedResources/],
  });
}

/** Where the Gateway is, when Envoy has it. */
export function gatewayAddress(envoy: EnvoyProcess): Promise<string> {
  return waitFor(() => envoy.listenerAddress("default/edge/http").catch(() => undefined), { what: "the listener" });
}
