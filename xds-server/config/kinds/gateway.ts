/** Gateway: https://istio.io/latest/docs/reference/config/networking/gateway/ */
import { isIP } from "node:net";
import { fail } from "../cursor.ts";
import type { Gateway, GatewayServer, ServerTls } from "../model.ts";
import { list, object, optional, positionOf, type Reader, required, withDefault } from "../reader.ts";
import { integer, oneOf, text } from "../scalars.ts";
import { HOST_PATTERN, labels } from "./metadata.ts";

const GATEWAY_HOST = new RegExp(`^([-a-z0-9]+/|[.*~]/)?(${HOST_PATTERN})$`);

const port: Reader<GatewayServer["port"]> = object<GatewayServer["port"]>(
  {
    // 0 takes a free port: tests and several Envoys on one machine.
    number: required(integer({ min: 0, max: 65_535 })),
    name: required(text({ max: 63, pattern: /^[a-zA-Z0-9]([-a-zA-Z0-9_.]*[a-zA-Z0-9])?$/, what: "a port name" })),
    protocol: required(oneOf(["HTTP", "HTTP2", "GRPC", "HTTPS"])),
  },
  { ignored: ["targetPort"] },
);

const bind: Reader<string> = (cursor) => {
  const value = text({ max: 64 })(cursor);
  if (value === undefined || isIP(value) !== 0) return value;
  return fail(cursor, "TM_CONFIG_INVALID_VALUE", `${JSON.stringify(value)} is not an IP address`);
};

/** Istio allows `namespace/host` to choose whose VirtualServices bind; there is one configuration here. */
const gatewayHost: Reader<string> = (cursor) => {
  const value = text({ max: 320, pattern: GATEWAY_HOST, what: "a host name, *.suffix or *" })(cursor);
  return value?.slice(value.indexOf("/") + 1);
};

const tlsVersion = oneOf(["TLS_AUTO", "TLSV1_0", "TLSV1_1", "TLSV1_2", "TLSV1_3"]);

const FILES = "Put certificate and key into a Secret and name it in credentialName.";

const tls: Reader<ServerTls> = object<ServerTls>(
  {
    mode: withDefault(oneOf(["SIMPLE", "MUTUAL"]), "SIMPLE"),
    credentialName: required(text({ max: 253 })),
    minProtocolVersion: withDefault(tlsVersion, "TLS_AUTO"),
    maxProtocolVersion: withDefault(tlsVersion, "TLS_AUTO"),
  },
  {
    unsupported: {
      httpsRedirect: "Remove it; add a server for port 80 with a VirtualService that redirects.",
      serverCertificate: FILES,
      privateKey: FILES,
      caCertificates: "Put it into the Secret as ca.crt.",
      credentialNames: "Use credentialName.",
      caCertCredentialName: "Put the certificate into the Secret as ca.crt.",
      subjectAltNames: "Remove it; every client with a certificate of ca.crt is let in.",
      verifyCertificateSpki: "Remove it.",
      verifyCertificateHash: "Remove it.",
      cipherSuites: "Remove it; Envoy's own list is used.",
    },
  },
);

const fields: Reader<GatewayServer> = object<GatewayServer>(
  {
    port: required(port),
    bind: withDefault(bind, "0.0.0.0"),
    tls: optional(tls),
    hosts: required(list(gatewayHost, { min: 1, max: 1_000 })),
  },
  { ignored: ["name"], unsupported: { defaultEndpoint: "Remove defaultEndpoint." } },
);

const server: Reader<GatewayServer> = (cursor) => {
  const value = fields(cursor);
  if (value === undefined) return undefined;
  const { port: at, tls: settings } = value;
  const isHttps = at.protocol === "HTTPS";
  if (isHttps === (settings !== undefined)) return value;
  const position = isHttps ? positionOf(at, "protocol") : positionOf(value, "tls");
  const message = isHttps ? "protocol HTTPS has no tls" : `protocol ${at.protocol} has tls`;
  const remedy = isHttps ? "Add tls with a credentialName." : "Use protocol HTTPS, or remove tls.";
  return fail({ ...cursor, position }, "TM_CONFIG_CONFLICT", message, remedy);
};

type Spec = Omit<Gateway, "metadata">;

/** The spec of a Gateway. */
export const gatewaySpec: Reader<Spec> = object<Spec>({
  selector: withDefault(labels, new Map()),
  servers: required(list(server, { min: 1, max: 100 })),
});
