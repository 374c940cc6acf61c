/** ServiceEntry: https://istio.io/latest/docs/reference/config/networking/service-entry/ */
import { isIP } from "node:net";
import { type Cursor, fail } from "../cursor.ts";
import { isPriority, PRIORITY_LABEL } from "../endpoint-selection.ts";
import type { AppProtocol, Endpoint, Locality, ServiceEntry, ServicePort } from "../model.ts";
import { list, map, object, optional, positionOf, type Reader, required, withDefault } from "../reader.ts";
import { integer, oneOf, text } from "../scalars.ts";
import { exactHost, labels, portNumber } from "./metadata.ts";

const PROTOCOLS = {
  HTTP: "HTTP",
  http: "HTTP",
  HTTP2: "HTTP2",
  http2: "HTTP2",
  GRPC: "GRPC",
  grpc: "GRPC",
} as const satisfies Readonly<Record<string, AppProtocol>>;

const protocol: Reader<AppProtocol> = (cursor) => {
  const value = oneOf(Object.keys(PROTOCOLS) as (keyof typeof PROTOCOLS)[])(cursor);
  return value === undefined ? undefined : PROTOCOLS[value];
};

const servicePort: Reader<ServicePort> = object<ServicePort>({
  number: required(portNumber),
  name: required(text({ max: 63 })),
  protocol: withDefault(protocol, "HTTP"),
  targetPort: optional(portNumber),
});

/** `region[/zone[/sub-zone]]`. */
const locality: Reader<Locality> = (cursor) => {
  const value = text({ max: 256, pattern: /^[^/]+(\/[^/]+){0,2}$/, what: "region/zone/sub-zone" })(cursor);
  if (value === undefined) return undefined;
  const [region = "", zone = "", subZone = ""] = value.split("/");
  return { region, zone, subZone };
};

const endpoint: Reader<Endpoint> = object<Endpoint>(
  {
    address: required(text({ max: 255 })),
    ports: withDefault(map(portNumber, { max: 64 }), new Map()),
    labels: withDefault(labels, new Map()),
    weight: withDefault(integer({ min: 1, max: 1_000_000 }), 1),
    locality: optional(locality),
  },
  { ignored: ["serviceAccount", "network"] },
);

type Spec = Omit<ServiceEntry, "metadata">;

const fields: Reader<Spec> = object<Spec>(
  {
    hosts: required(list(exactHost, { min: 1, max: 100 })),
    ports: required(list(servicePort, { min: 1, max: 64 })),
    resolution: required(oneOf(["STATIC", "DNS", "DNS_ROUND_ROBIN"])),
    endpoints: withDefault(list(endpoint), []),
  },
  {
    ignored: ["location", "exportTo", "addresses"],
    unsupported: {
      workloadSelector: "List the endpoints under endpoints.",
      subjectAltNames: "Remove subjectAltNames; connections to endpoints are plain HTTP.",
    },
  },
);

/** The spec of a ServiceEntry. */
export const serviceEntrySpec: Reader<Spec> = (cursor) => {
  const spec = fields(cursor);
  if (spec === undefined) return undefined;
  const before = cursor.context.diagnostics.count;
  const portNames = new Set<string>();
  const portNumbers = new Set<number>();
  for (const port of spec.ports) {
    const at = positionOf(port);
    if (portNames.has(port.name)) duplicate(cursor, at, `port name ${port.name}`);
    if (portNumbers.has(port.number)) duplicate(cursor, at, `port ${port.number}`);
    portNames.add(port.name);
    portNumbers.add(port.number);
  }
  for (const each of spec.endpoints) checkEndpoint(cursor, spec, each, portNames);
  return cursor.context.diagnostics.count > before ? undefined : spec;
};

function checkEndpoint(cursor: Cursor, spec: Spec, endpoint: Endpoint, portNames: ReadonlySet<string>): void {
  const { address, ports } = endpoint;
  const at = { ...cursor, path: "spec.endpoints", position: positionOf(endpoint, "address") };
  const isUnix = address.startsWith("unix://");
  if (spec.resolution === "STATIC" && isIP(address) === 0 && !isUnix) {
    fail(
      at,
      "TM_CONFIG_INVALID_VALUE",
      `address ${JSON.stringify(address)} is not an IP address`,
      "Use an IP address, or resolution: DNS for host names.",
    );
  }
  if (spec.resolution !== "STATIC" && (isUnix || !/^[-A-Za-z0-9_.:]+$/.test(address))) {
    fail(at, "TM_CONFIG_INVALID_VALUE", `address ${JSON.stringify(address)} is not a host name`);
  }
  if (isUnix && (!address.startsWith("unix:///") || ports.size > 0)) {
    fail(at, "TM_CONFIG_INVALID_VALUE", "a unix address is unix:///path and has no ports");
  }
  const priority = endpoint.labels.get(PRIORITY_LABEL);
  if (priority !== undefined && !isPriority(priority)) {
    const position = positionOf(endpoint, "labels");
    const message = `label ${PRIORITY_LABEL}: ${JSON.stringify(priority)} is not a whole number from 0 to 127`;
    fail({ ...at, position }, "TM_CONFIG_INVALID_VALUE", message);
  }
  for (const name of ports.keys()) {
    if (portNames.has(name)) continue;
    const position = positionOf(endpoint, "ports");
    fail(
      { ...at, position },
      "TM_CONFIG_UNKNOWN_REFERENCE",
      `the service has no port named ${name}`,
      `Its ports are: ${[...portNames].join(", ")}.`,
    );
  }
}

function duplicate(cursor: Cursor, position: Cursor["position"], what: string): void {
  fail({ ...cursor, path: "spec.ports", position }, "TM_CONFIG_DUPLICATE", `${what} is defined twice`);
}
