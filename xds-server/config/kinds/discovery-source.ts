/** DiscoverySource: `spec` names exactly one kind of source and says how its answers are read. */
import { type Cursor, fail } from "../cursor.ts";
import type {
  DiscoverySourceSpec,
  DnsDiscovery,
  DnsRecordKind,
  FileDiscovery,
  MetadataMapping,
  RegistryDiscovery,
} from "../discovery-model.ts";
import {
  exactlyOne,
  extended,
  list,
  map,
  object,
  optional,
  positionOf,
  type Reader,
  required,
  withDefault,
} from "../reader.ts";
import { duration, oneOf, text } from "../scalars.ts";
import { consulDiscovery } from "./discovery-consul.ts";
import { eurekaDiscovery } from "./discovery-eureka.ts";
import { kubernetesDiscovery } from "./discovery-kubernetes.ts";
import { filePath, socketAddress } from "./discovery-names.ts";
import { portNumber } from "./metadata.ts";

const file = object<FileDiscovery>({ path: required(filePath) });

interface DnsFields {
  readonly resolver: readonly string[];
  readonly kind: DnsRecordKind | undefined;
  readonly port: number | undefined;
}

const dnsFields = object<DnsFields>({
  resolver: withDefault(list(socketAddress, { min: 1, max: 8 }), []),
  kind: optional(oneOf(["A", "AAAA", "SRV"])),
  port: optional(portNumber),
});

const dns: Reader<DnsDiscovery> = (cursor) => {
  const value = dnsFields(cursor);
  if (value === undefined) return undefined;
  const { resolver, kind, port } = value;
  if (kind === "SRV" && port !== undefined) {
    const at = { ...cursor, position: positionOf(value, "port") };
    return fail(at, "TM_CONFIG_CONFLICT", "port has no effect with kind SRV, whose records have ports", "Remove port.");
  }
  const kinds: readonly DnsRecordKind[] = kind === undefined ? ["A", "AAAA"] : [kind];
  return extended(value, { resolvers: resolver, kinds });
};

const key = text({ max: 317 });

const NO_MAPPING: MetadataMapping = {
  region: undefined,
  zone: undefined,
  subZone: undefined,
  weight: undefined,
  labels: undefined,
};

const metadataMapping = object<MetadataMapping>({
  region: optional(key),
  zone: optional(key),
  subZone: optional(key),
  weight: optional(key),
  labels: optional(map(key, { max: 64 })),
});

interface Poll {
  readonly min: number;
  readonly max: number;
}

const HOUR = 3_600_000;
const DEFAULT_POLL: Poll = { min: 1_000, max: HOUR };
const bound = duration({ minMs: 100, maxMs: 24 * HOUR });

const pollFields = object<Poll>({
  min: withDefault(bound, DEFAULT_POLL.min),
  max: withDefault(bound, DEFAULT_POLL.max),
});

const poll: Reader<Poll> = (cursor) => {
  const value = pollFields(cursor);
  if (value === undefined || value.min <= value.max) return value;
  const at = { ...cursor, position: positionOf(value, "min") };
  return fail(at, "TM_CONFIG_CONFLICT", `min is ${value.min}ms, more than max, ${value.max}ms`, "Lower min.");
};

const registry: Reader<RegistryDiscovery> = object<RegistryDiscovery>({});

const fields = object<DiscoverySourceSpec>({
  file: optional(file),
  dns: optional(dns),
  kubernetes: optional(kubernetesDiscovery),
  consul: optional(consulDiscovery),
  eureka: optional(eurekaDiscovery),
  registry: optional(registry),
  quiet: withDefault(duration({ minMs: 0, maxMs: 60_000 }), 100),
  drain: withDefault(duration({ minMs: 0, maxMs: HOUR }), 10_000),
  poll: withDefault(poll, DEFAULT_POLL),
  metadata: withDefault(metadataMapping, NO_MAPPING),
});

const oneSource = exactlyOne(fields, "file", "dns", "kubernetes", "consul", "eureka", "registry");

/** Why a kind of source does not look at the mapping of metadata. */
function unusedMetadata({ dns: records, file: list }: DiscoverySourceSpec): string | undefined {
  if (records !== undefined) return "DNS records have no metadata";
  return list === undefined ? undefined : "the file itself says locality, weight and labels";
}

/** The spec of a DiscoverySource. */
export const discoverySourceSpec: Reader<DiscoverySourceSpec> = (cursor: Cursor) => {
  const spec = oneSource(cursor);
  if (spec === undefined) return undefined;
  const reason = unusedMetadata(spec);
  if (reason === undefined || spec.metadata === NO_MAPPING) return spec;
  const at = { ...cursor, position: positionOf(spec, "metadata") };
  return fail(at, "TM_CONFIG_CONFLICT", `metadata has no effect: ${reason}`, "Remove metadata.");
};
