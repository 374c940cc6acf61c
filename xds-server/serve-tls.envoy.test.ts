import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { request } from "node:https";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TLSSocket } from "node:tls";
import { describe, expect, it, onTestFinished } from "vitest";
import { adsBootstrap, EnvoyProcess, versionsUnderTest, waitFor } from "../envoy/harness/index.ts";
import { AUTHORITY, ENVOY, ROTATED, SERVER } from "../test/fixtures/tls/index.ts";
import { startServer } from "./index.ts";
import { silentLogger } from "./log.ts";

/** Gateways with TLS from a Secret by SDS, resources as they are, and node groups, in a real Envoy. */

const groups = `
apiVersion: tokenmesh.io/v1alpha1
kind: NodeGroup
metadata: {name: edge}
spec: {match: [{cluster: ed*}], labels: {app: edge}}`;
const gateway = (name: string, selector: string, tls: string) => `
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: ${name}}
spec:
  selector: ${selector}
  servers: [{port: {number: 0, name: port, protocol: ${tls === "" ? "HTTP" : "HTTPS"}}, ${tls}bind: 127.0.0.1, hosts: ["*"]}]`;
const routes = `
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: all}
spec: {hosts: ["*"], http: [{directResponse: {status: 204}}]}`;
const secret = ({ cert, key }: { readonly cert: string; readonly key: string }) =>
  JSON.stringify({
    apiVersion: "v1",
    kind: "Secret",
    metadata: { name: "shop" },
    type: "kubernetes.io/tls",
    stringData: { "tls.crt": cert, "tls.key": key, "ca.crt": AUTHORITY },
  });
const own = (status: number) => `
apiVersion: tokenmesh.io/v1alpha1
kind: EnvoyResources
metadata: {name: own}
spec:
  nodeGroups: [edge]
  resources:
    - "@type": type.googleapis.com/envoy.config.listener.v3.Listener
      name: own
      address: {socketAddress: {address: 127.0.0.1, portValue: 0}}
      filterChains:
        - filters:
            - name: http
              typedConfig:
                "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
                statPrefix: own
                rds: {routeConfigName: own, configSource: {ads: {}, resourceApiVersion: V3}}
                httpFilters:
                  - name: envoy.filters.http.router
                    typedConfig: {"@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router}
    - "@type": type.googleapis.com/envoy.config.route.v3.RouteConfiguration
      name: own
      virtual_hosts:
        - {name: all, domains: ["*"], routes: [{match: {prefix: /}, direct_response: {status: ${status}}}]}`;

interface Answer {
  readonly status: number | undefined;
  /** SHA-256 of the server's certificate. */
  readonly fingerprint: string;
}

function ask(address: string, client: { readonly cert?: string; readonly key?: string } = {}): Promise<Answer> {
  const [host, port] = address.split(":");
  return new Promise((resolve, reject) => {
    const options = { host, port, ca: AUTHORITY, checkServerIdentity: () => undefined, agent: false, ...client };
    const sent = request(options, (response) => {
      const { fingerprint256 } = (response.socket as TLSSocket).getPeerCertificate();
      response.resume().on("end", () => resolve({ status: response.statusCode, fingerprint: fingerprint256 }));
    });
    sent.on("error", reject).end();
  });
}

describe.each(versionsUnderTest())("TLS and resources as they are in a real Envoy, %s", (version) => {
  it("are served to their group, and a certificate changes while connections go on", async () => {
    const dir = mkdtempSync(join(tmpdir(), "tokenmesh-tls-"));
    onTestFinished(() => rmSync(dir, { recursive: true, force: true }));
    const write = (pair: typeof SERVER, status: number): void =>
      writeFileSync(
        join(dir, "a.yaml"),
        [
          groups,
          gateway("simple", "{app: edge}", "tls: {credentialName: shop}, "),
          gateway("mutual", "{app: edge}", "tls: {mode: MUTUAL, credentialName: shop}, "),
          gateway("plain", "{}", ""),
          gateway("others", "{app: other}", ""),
          routes,
          secret(pair),
          own(status),
        ].join("\n---\n"),
      );
    write(SERVER, 205);
    const server = await startServer({ configDir: dir, log: silentLogger });
    onTestFinished(() => server.close());
    expect(server.configErrors()).toEqual([]);
    const start = async (cluster: string) => {
      const bootstrap = adsBootstrap({ xdsAddress: server.xdsAddress, nodeId: cluster, cluster });
      const envoy = await EnvoyProcess.start({
        version,
        bootstrap,
        allowErrors: [/gRPC config/, /StreamAggregatedResources/],
      });
      onTestFinished(() => envoy.stop());
      return envoy;
    };
    const edge = await start("edge");
    const simple = await edge.listenerAddress("default/simple/port");
    const first = await ask(simple);
    expect(first.status).toBe(204);
    const mutual = await edge.listenerAddress("default/mutual/port");
    await expect(ask(mutual)).rejects.toThrow();
    expect(await ask(mutual, ENVOY)).toMatchObject({ status: 204 });
    const plain = async () => (await fetch(`http://${await edge.listenerAddress("own")}/`)).status;
    expect(await plain()).toBe(205);

    write(ROTATED, 206);
    server.reload();
    expect(server.configErrors()).toEqual([]);
    await waitFor(async () => (await ask(simple)).fingerprint !== first.fingerprint, { what: "the new certificate" });
    await waitFor(async () => (await plain()) === 206, { what: "the new route" });

    const other = await start("other");
    expect((await fetch(`http://${await other.listenerAddress("default/plain/port")}/`)).status).toBe(204);
    const dump = JSON.stringify(await other.admin.json("/config_dump"));
    for (const name of ["default/simple", "default/others", '"own"']) expect(dump).not.toContain(name);
    const snapshot = await (await fetch(`http://${server.apiAddress}/snapshot`)).text();
    expect(snapshot).not.toContain("PRIVATE KEY");
  });
});
