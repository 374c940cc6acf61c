/**
 * The file of a file source: endpoints by service, in YAML or JSON. Pure: text in, endpoints or errors with positions out.
 *
 *   services:
 *     web:
 *       - {address: 10.0.0.1, port: 8080, weight: 10, locality: eu/eu-1, health: healthy, labels: {accelerator: gpu-a}}
 */
import { rootCursor } from "../../config/cursor.ts";
import { Diagnostics, formatError } from "../../config/diagnostics.ts";
import type { Locality } from "../../config/model.ts";
import { list, map, object, optional, type Reader, required, withDefault } from "../../config/reader.ts";
import { integer, oneOf, text } from "../../config/scalars.ts";
import { parseYamlFile } from "../../config/yaml-file.ts";
import { NO_MAPPING, type RawEndpoint, readEndpoints } from "../endpoint.ts";
import { DiscoveryError } from "../errors.ts";
import {
  MAX_ENDPOINTS,
  MAX_LABEL_KEY_BYTES,
  MAX_LABEL_VALUE_BYTES,
  MAX_LABELS,
  MAX_PORTS,
  MAX_SERVICE_BYTES,
  MAX_WEIGHT,
} from "../limits.ts";
import type { DiscoveredEndpoint, EndpointHealth } from "../source.ts";
import { MAX_SERVICES, MAX_TOLD_ERRORS } from "./limits.ts";

export type EndpointFile = ReadonlyMap<string, readonly DiscoveredEndpoint[]>;

interface FileEndpoint {
  readonly id: string | undefined;
  readonly address: string;
  readonly port: number;
  readonly ports: ReadonlyMap<string, number>;
  readonly weight: number;
  readonly health: EndpointHealth;
  readonly locality: Locality | undefined;
  readonly labels: ReadonlyMap<string, string>;
}

const port = integer({ min: 1, max: 65_535 });

/** `region[/zone[/sub-zone]]`, as in a ServiceEntry. */
const locality: Reader<Locality> = (cursor) => {
  const value = text({ max: 256, pattern: /^[^/]+(\/[^/]+){0,2}$/, what: "region/zone/sub-zone" })(cursor);
  if (value === undefined) return undefined;
  const [region = "", zone = "", subZone = ""] = value.split("/");
  return { region, zone, subZone };
};

const endpoint = object<FileEndpoint>({
  id: optional(text({ max: 512 })),
  address: required(text({ max: 64, pattern: /^[0-9A-Fa-f:.]+$/, what: "an IP address" })),
  port: required(port),
  ports: withDefault(map(port, { max: MAX_PORTS }), new Map()),
  weight: withDefault(integer({ min: 0, max: MAX_WEIGHT }), 1),
  health: withDefault(oneOf(["healthy", "unhealthy", "draining", "degraded", "unknown"]), "healthy"),
  locality: optional(locality),
  labels: withDefault(
    map(text({ min: 0, max: MAX_LABEL_VALUE_BYTES }), {
      max: MAX_LABELS,
      key: { pattern: new RegExp(`^[!-~]{1,${MAX_LABEL_KEY_BYTES}}$`), what: "the name of a label" },
    }),
    new Map(),
  ),
});

const services = map(list(endpoint, { max: MAX_ENDPOINTS }), {
  max: MAX_SERVICES,
  key: { pattern: new RegExp(`^[!-~]{1,${MAX_SERVICE_BYTES}}$`), what: "the name of a service" },
});

const content = object<{ readonly services: ReadonlyMap<string, readonly FileEndpoint[]> }>({
  services: required(services),
});

/**
 * @param file for messages
 * @throws DiscoveryError TM_DISCOVERY_MALFORMED with the first errors and where they are; TM_DISCOVERY_TOO_LARGE
 */
export function parseEndpointFile(file: string, source: string): EndpointFile {
  const diagnostics = new Diagnostics();
  const yaml = parseYamlFile(file, source, diagnostics);
  const [document, ...more] = yaml?.documents ?? [];
  if (yaml !== undefined && (document === undefined || more.length > 0))
    throw new DiscoveryError("TM_DISCOVERY_MALFORMED", `${file} is not one document with services`);
  const value = yaml && document && content(rootCursor(document, yaml.context));
  const [first, ...rest] = diagnostics.sorted();
  if (first !== undefined) {
    const code = first.code === "TM_CONFIG_TOO_LARGE" ? "TM_DISCOVERY_TOO_LARGE" : "TM_DISCOVERY_MALFORMED";
    const told = [first, ...rest.slice(0, MAX_TOLD_ERRORS - 1)].map((error) => formatError(error).slice(0, 250));
    const others = rest.length + 1 - told.length;
    throw new DiscoveryError(code, told.join(" | ") + (others > 0 ? ` | and ${others} more` : ""));
  }
  return new Map([...(value?.services ?? [])].map(([service, endpoints]) => [service, read(endpoints)]));
}

function read(endpoints: readonly FileEndpoint[]): readonly DiscoveredEndpoint[] {
  const raw = endpoints.map(
    (each): RawEndpoint => ({ ...each, id: each.id ?? `${each.address} ${each.port}`, labels: each.labels }),
  );
  return readEndpoints(raw, NO_MAPPING).endpoints;
}
