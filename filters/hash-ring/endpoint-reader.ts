/** Reads `endpoints` of a pool. */
import { JsonNode, NodeKind } from "../lib/json-document";
import { xxhash64 } from "../lib/xxhash64";
import { ConfigReader } from "../pipeline/config-reader";
import { Bytes } from "../sdk";
import { isSocketAddress } from "./socket-address";
import { EndpointConfig, Health } from "./pool-config";

/** As many as one pool can tell apart. */
const MAX_POOL: i32 = 256;
/** As many as an endpoint can have in a pool. */
const MAX_NAMES: i32 = 16;
const MAX_WEIGHT: i32 = 1000;
const MAX_PRIORITY: i32 = 127;
/** By `Health`. */
const HEALTHS = ["healthy", "degraded", "unhealthy"];

export function readEndpoints(reader: ConfigReader, path: string, node: JsonNode): EndpointConfig[] {
  const endpoints: EndpointConfig[] = [];
  const entries = reader.list(path, node, 0, MAX_POOL);
  for (let i = 0; i < entries.length; i++) {
    const at = path + "[" + i.toString() + "]";
    if (!reader.isObject(at, entries[i])) continue;
    const endpoint = readEndpoint(reader, at, entries[i]);
    for (let before = 0; before < endpoints.length; before++) {
      if (endpoint.address.len > 0 && endpoints[before].address.equals(endpoint.address)) reader.fail(at + ".address", "stands twice in the list");
    }
    endpoints.push(endpoint);
  }
  return endpoints;
}

function readEndpoint(reader: ConfigReader, path: string, node: JsonNode): EndpointConfig {
  const endpoint = new EndpointConfig();
  for (let i = 0; i < node.names.length; i++) {
    const name = node.names[i];
    const value = node.values[i];
    const at = path + "." + name;
    if (name == "address") endpoint.address = readAddress(reader, at, value);
    else if (name == "weight") endpoint.weight = reader.integer(at, value, 1, MAX_WEIGHT);
    else if (name == "priority") endpoint.priority = reader.integer(at, value, 0, MAX_PRIORITY);
    else if (name == "locality") endpoint.locality = zoneOf(reader.plain(at, value));
    else if (name == "models") endpoint.models = readNames(reader, at, value);
    else if (name == "adapters") endpoint.adapters = readNames(reader, at, value);
    else if (name == "draining") endpoint.draining = reader.flag(at, value);
    else if (name == "health") endpoint.health = <Health>max(reader.oneOf(at, value, HEALTHS), 0);
    else if (name == "labels") readLabels(reader, at, value);
    else reader.unknown(at);
  }
  if (node.get("address") === null) reader.fail(path + ".address", "missing");
  return endpoint;
}

/** "region/zone" of "region/zone/subzone": nearer than a zone is not told apart. */
function zoneOf(locality: Bytes): Bytes {
  const region = locality.indexOf(0x2f);
  const zone = region < 0 ? -1 : locality.indexOf(0x2f, region + 1);
  if (zone >= 0) locality.len = zone;
  return locality;
}

function readAddress(reader: ConfigReader, path: string, node: JsonNode): Bytes {
  const address = reader.text(path, node, 64);
  if (address.len > 0 && !isSocketAddress(address)) {
    reader.fail(path, 'must be an IP address and a port as Envoy writes them, such as "10.0.0.1:8000" or "[fd00::1]:8000"');
  }
  return address;
}

/** Hashes of names: nothing else of them is needed. */
function readNames(reader: ConfigReader, path: string, node: JsonNode): u64[] {
  const entries = reader.list(path, node, 0, MAX_NAMES);
  const hashes: u64[] = [];
  for (let i = 0; i < entries.length; i++) {
    const name = reader.plain(path + "[" + i.toString() + "]", entries[i]);
    hashes.push(xxhash64(name.ptr, name.len, 0));
  }
  return hashes;
}

/** They are for people, and for whoever writes the configuration. */
function readLabels(reader: ConfigReader, path: string, node: JsonNode): void {
  if (!reader.isObject(path, node)) return;
  for (let i = 0; i < node.names.length; i++) {
    if (node.values[i].kind != NodeKind.String) reader.fail(path + "." + node.names[i], "must be a string");
  }
}
