/** Gateway: https://istio.io/latest/docs/reference/config/networking/gateway/ */
import { isIP } from "node:net";
import { fail } from "../cursor.ts";
import type { Gateway, GatewayServer } from "../model.ts";
import { list, object, type Reader, required, withDefault } from "../reader.ts";
import { integer, oneOf, text } from "../scalars.ts";
import { HOST_PATTERN } from "./metadata.ts";

const GATEWAY_HOST = new RegExp(`^([-a-z0-9]+/|[.*~]/)?(${HOST_PATTERN})$`);

const port: Reader<GatewayServer["port"]> = object<GatewayServer["port"]>(
  {
    // 0 takes a free port: tests and several Envoys on one machine.
    number: required(integer({ min: 0, max: 65_535 })),
    name: required(text({ max: 63, pattern: /^[a-zA-Z0-9]([-a-zA-Z0-9_.]*[a-zA-Z0-9])?$/, what: "a port name" })),
    protocol: required(oneOf(["HTTP", "HTTP2", "GRPC"])),
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

const server: Reader<GatewayServer> = object<GatewayServer>(
  {
    port: required(port),
    bind: withDefault(bind, "0.0.0.0"),
    hosts: required(list(gatewayHost, { min: 1, max: 1_000 })),
  },
  {
    ignored: ["name"],
    unsupported: {
      tls: "Remove tls; listeners speak plain HTTP, so terminate TLS in front of them.",
      defaultEndpoint: "Remove defaultEndpoint.",
    },
  },
);

/** The spec of a Gateway; the selector has no effect, because every Envoy of this server is given every Gateway. */
export const gatewaySpec: Reader<Pick<Gateway, "servers">> = object<Pick<Gateway, "servers">>(
  { servers: required(list(server, { min: 1, max: 100 })) },
  { ignored: ["selector"] },
);
