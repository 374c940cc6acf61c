/** TLS of listeners: the context of `envoy/extensions/transport_sockets/tls/v3/tls.proto`, and the SDS secrets that it names. */
import { type ProtoObject, TypeUrl } from "../../protos/index.ts";
import { createResource, type Reference, type Resource } from "../cache/index.ts";
import { fullName } from "../config/gateway-scope.ts";
import type { Gateway, GatewayServer, Secret, ServerTls, TlsVersion } from "../config/model.ts";
import { ADS, any } from "./proto-values.ts";

const DOWNSTREAM = "envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext";

/** Istio's names; Envoy's have an underscore more. */
const VERSIONS: Readonly<Record<TlsVersion, string>> = {
  TLS_AUTO: "TLS_AUTO",
  TLSV1_0: "TLSv1_0",
  TLSV1_1: "TLSv1_1",
  TLSV1_2: "TLSv1_2",
  TLSV1_3: "TLSv1_3",
};

/** `namespace/name`: of certificate and key. */
function certificateName(gateway: Gateway, { credentialName }: ServerTls): string {
  return fullName({ ...gateway.metadata, name: credentialName });
}

/** Of who signs clients' certificates; names of Kubernetes have no slash, so it is nobody else's. */
function clientCaName(certificate: string): string {
  return `${certificate}/ca`;
}

export function transportSocket(gateway: Gateway, { tls }: GatewayServer): ProtoObject | undefined {
  if (tls === undefined) return undefined;
  const name = certificateName(gateway, tls);
  const isMutual = tls.mode === "MUTUAL";
  const { minProtocolVersion: min, maxProtocolVersion: max } = tls;
  return {
    name: "envoy.transport_sockets.tls",
    typed_config: any(DOWNSTREAM, {
      common_tls_context: {
        alpn_protocols: ["h2", "http/1.1"],
        tls_params: {
          tls_minimum_protocol_version: VERSIONS[min],
          tls_maximum_protocol_version: VERSIONS[max],
        },
        tls_certificate_sds_secret_configs: [{ name, sds_config: ADS }],
        validation_context_sds_secret_config: isMutual ? { name: clientCaName(name), sds_config: ADS } : undefined,
      },
      require_client_certificate: isMutual ? { value: true } : undefined,
    }),
  };
}

export function secretReferences(gateway: Gateway, { tls }: GatewayServer): readonly Reference[] {
  if (tls === undefined) return [];
  const name = certificateName(gateway, tls);
  const names = tls.mode === "MUTUAL" ? [name, clientCaName(name)] : [name];
  return names.map((each) => ({ typeUrl: TypeUrl.secret, name: each }));
}

/** What a Secret is on the wire, whoever asks for it. */
export function secretResources({ metadata, certificate, privateKey, clientCa }: Secret): readonly Resource[] {
  const name = fullName(metadata);
  const ca = clientCaName(name);
  const pair = {
    name,
    tls_certificate: { certificate_chain: { inline_string: certificate }, private_key: { inline_string: privateKey } },
  };
  return [
    createResource(TypeUrl.secret, name, pair, [], [privateKey]),
    ...(clientCa === undefined
      ? []
      : [
          createResource(TypeUrl.secret, ca, {
            name: ca,
            validation_context: { trusted_ca: { inline_string: clientCa } },
          }),
        ]),
  ];
}
