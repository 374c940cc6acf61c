/** From the name of a service to its instances: aliases, SRV records with their targets, and how long all of it holds. Asks, and has no time of its own. */
import type { DnsRecordKind } from "../../config/discovery-model.ts";
import type { RawEndpoint } from "../endpoint.ts";
import { DiscoveryError } from "../errors.ts";
import { MAX_ENDPOINTS } from "../limits.ts";
import { MAX_ALIASES, MAX_TARGETS, NEGATIVE_TTL_S, TARGETS_AT_ONCE } from "./limits.ts";
import { type DnsRecord, type DnsReply, isName } from "./message.ts";

/** As resolver.ts, with a signal already in it. */
export type AskName = (name: string, kind: DnsRecordKind) => Promise<DnsReply>;

export interface Lookup {
  readonly instances: readonly RawEndpoint[];
  /** How long this holds, seconds: the shortest TTL on the way. */
  readonly ttl: number;
}

/** Instances with the addresses of a name. */
export async function lookUpAddresses(ask: AskName, name: string, kind: "A" | "AAAA", port: number): Promise<Lookup> {
  const { found, ttl } = await follow(ask, name, kind);
  return { instances: addressesOf(found, kind).map((address) => instance(address, port)), ttl };
}

/** Instances of the SRV records of a name; RFC 2782. */
export async function lookUpServices(ask: AskName, name: string): Promise<Lookup> {
  const { found, additionals, ttl } = await follow(ask, name, "SRV");
  const services = found.filter((each) => each.kind === "SRV");
  const targets = [...new Set(services.map(({ target }) => target))];
  if (targets.length > MAX_TARGETS)
    throw new DiscoveryError("TM_DISCOVERY_TOO_LARGE", `${name} has SRV records of more than ${MAX_TARGETS} targets`);
  const addresses = new Map<string, { readonly addresses: readonly string[]; readonly ttl: number }>();
  const left = targets.filter((target) => {
    const known = additionals.filter((each) => each.name === target && (each.kind === "A" || each.kind === "AAAA"));
    if (known.length === 0) return true;
    addresses.set(target, { addresses: known.flatMap(addressOf), ttl: leastTtl(known) });
    return false;
  });
  const lookUpNext = async (): Promise<void> => {
    for (let target = left.pop(); target !== undefined; target = left.pop())
      addresses.set(target, await targetAddresses(ask, target));
  };
  await Promise.all(Array.from({ length: TARGETS_AT_ONCE }, lookUpNext));
  const first = services.reduce((least, { priority }) => Math.min(least, priority), Number.POSITIVE_INFINITY);
  const instances: RawEndpoint[] = [];
  for (const { target, port, priority, weight } of services) {
    for (const address of addresses.get(target)?.addresses ?? []) {
      if (instances.length > MAX_ENDPOINTS) break;
      // Envoy turns to degraded endpoints when the healthy ones are not enough: that is what a lower priority means.
      const health = priority === first ? "healthy" : "degraded";
      // Weight 0 means "hardly ever" here, and is what records have whose owner does not use weights.
      instances.push({ ...instance(address, port), weight: Math.max(1, weight), health });
    }
  }
  return { instances, ttl: Math.min(ttl, ...[...addresses.values()].map((each) => each.ttl)) };
}

/** Of a target: both families. One that has none is a record that points nowhere, as `.` does, which says that there is no such service. */
async function targetAddresses(ask: AskName, target: string) {
  if (!isName(target)) return { addresses: [], ttl: Number.POSITIVE_INFINITY };
  const kinds = ["A", "AAAA"] as const;
  const both = await Promise.all(
    kinds.map(async (kind) => {
      const { found, ttl } = await follow(ask, target, kind);
      return { addresses: addressesOf(found, kind), ttl };
    }),
  );
  return { addresses: both.flatMap(({ addresses }) => addresses), ttl: Math.min(...both.map(({ ttl }) => ttl)) };
}

interface Followed {
  readonly found: readonly DnsRecord[];
  readonly additionals: readonly DnsRecord[];
  readonly ttl: number;
}

/** The records of a kind at the end of the aliases of a name; asks again where a server does not follow them itself. */
async function follow(ask: AskName, name: string, kind: DnsRecordKind): Promise<Followed> {
  let at = name.toLowerCase();
  let asked = at;
  let reply = await ask(asked, kind);
  let ttl = Number.POSITIVE_INFINITY;
  for (let aliases = 0; aliases <= MAX_ALIASES; aliases++) {
    const found = reply.answers.filter((each) => each.name === at && each.kind === kind);
    if (found.length > 0) return { found, additionals: reply.additionals, ttl: Math.min(ttl, leastTtl(found)) };
    const alias = reply.answers.find((each) => each.name === at && each.kind === "CNAME");
    if (alias?.kind === "CNAME") {
      at = alias.target;
      ttl = Math.min(ttl, alias.ttl);
      if (!isName(at)) break;
    } else if (asked !== at && reply.code === "NOERROR") {
      asked = at;
      reply = await ask(asked, kind);
    } else {
      return { found: [], additionals: [], ttl: Math.min(ttl, reply.negativeTtl ?? NEGATIVE_TTL_S) };
    }
  }
  throw new DiscoveryError("TM_DISCOVERY_MALFORMED", `the aliases of ${name} lead nowhere`);
}

function addressesOf(records: readonly DnsRecord[], kind: "A" | "AAAA"): readonly string[] {
  return records.filter((each) => each.kind === kind).flatMap(addressOf);
}

function addressOf(record: DnsRecord): readonly string[] {
  return record.kind === "A" || record.kind === "AAAA" ? [record.address] : [];
}

function leastTtl(records: readonly DnsRecord[]): number {
  return records.reduce((least, { ttl }) => Math.min(least, ttl), Number.POSITIVE_INFINITY);
}

function instance(address: string, port: number): RawEndpoint {
  return {
    id: address.includes(":") ? `[${address}]:${port}` : `${address}:${port}`,
    address,
    port,
    health: "healthy",
  };
}
