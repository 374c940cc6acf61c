/** The world as a configuration folder, for `tokenmesh serve`. Apart from world.ts: a server that reads no YAML loads none of its code. */
import { stringify } from "yaml";
import { addressOf, hostOf, PORT, type WorldSize } from "./world.ts";

/** Its documents, by file name. */
export function worldFiles(size: WorldSize): ReadonlyMap<string, string> {
  const files = new Map<string, string>();
  const document = (kind: string, name: string, spec: object): string =>
    stringify({ apiVersion: "networking.istio.io/v1", kind, metadata: { name }, spec });
  const port = { number: 80, name: "http", protocol: "HTTP" };
  for (let from = 0; from < size.clusters; from += 50) {
    const entries: string[] = [];
    for (let n = from; n < Math.min(size.clusters, from + 50); n++) {
      const endpoints = Array.from({ length: size.endpoints }, (_, e) => ({ address: addressOf(n, e) }));
      const ports = [{ ...port, targetPort: PORT }];
      const spec = { hosts: [hostOf(n)], ports, resolution: "STATIC", endpoints };
      entries.push(document("ServiceEntry", `service-${n}`, spec));
    }
    files.set(`services-${from}.yaml`, entries.join("---\n"));
  }
  const servers = [{ port: { number: 8_080, name: "http", protocol: "HTTP" }, hosts: ["*"] }];
  const http = [{ route: [{ destination: { host: hostOf(0), port: { number: 80 } } }] }];
  files.set(
    "gateway.yaml",
    [document("Gateway", "gateway", { servers }), document("VirtualService", "all", { hosts: ["*"], http })].join(
      "---\n",
    ),
  );
  return files;
}
