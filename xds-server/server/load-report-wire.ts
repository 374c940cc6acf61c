/**
 * Load reports on the wire, read by hand: an Envoy with a thousand clusters sends some ten thousand numbers each time.
 *
 * `envoy.service.load_stats.v3.LoadStatsRequest`: node = 1, cluster_stats = 2. `LoadStatsResponse`: clusters = 1, load_reporting_interval = 2,
 * report_endpoint_granularity = 3, send_all_clusters = 4. The parts of ClusterStats stand at their readers.
 */
import protobuf from "protobufjs";
import type { NodeIdentity, NodeLocality } from "../cache/index.ts";
import { CallError, Status } from "../grpc/index.ts";
import { MAX_NODE_ID_LENGTH } from "./limits.ts";
import { fieldsOf, readLocality, readNode, skip } from "./node-wire.ts";

type Reader = protobuf.Reader;

/** Counts since the last report, and requests under way when it was made. */
export interface LoadCounts {
  readonly successful: number;
  readonly errors: number;
  readonly issued: number;
  readonly inProgress: number;
}

export interface EndpointLoad extends LoadCounts {
  readonly address: string;
  readonly port: number;
}

export interface LocalityLoad extends LoadCounts {
  readonly locality: NodeLocality;
  readonly priority: number;
  readonly endpoints: readonly EndpointLoad[];
}

export interface ClusterLoad {
  readonly cluster: string;
  /** `eds_cluster_config.service_name`; empty when it is the cluster's name. */
  readonly service: string;
  readonly localities: readonly LocalityLoad[];
  /** Requests that were dropped before they got an endpoint. */
  readonly dropped: number;
  /** What the counts are of, ms. */
  readonly intervalMs: number;
}

export interface LoadReport {
  readonly node: NodeIdentity | undefined;
  readonly clusters: readonly ClusterLoad[];
}

/** @throws CallError when the bytes are no LoadStatsRequest */
export function decodeLoadReport(bytes: Uint8Array): LoadReport {
  try {
    const reader = protobuf.Reader.create(bytes);
    let node: NodeIdentity | undefined;
    const clusters: ClusterLoad[] = [];
    for (const [field, wire] of fieldsOf(reader, bytes.length)) {
      if (field === 1 && wire === 2) node = readNode(reader);
      else if (field === 2 && wire === 2) clusters.push(readCluster(reader));
      else skip(reader, wire);
    }
    return { node, clusters };
  } catch (error) {
    if (error instanceof CallError) throw error;
    throw new CallError(Status.invalidArgument, "not a LoadStatsRequest");
  }
}

/** ClusterStats: cluster_name = 1, upstream_locality_stats = 2, total_dropped_requests = 3, load_report_interval = 4, cluster_service_name = 6. */
function readCluster(reader: Reader): ClusterLoad {
  let cluster = "";
  let service = "";
  let dropped = 0;
  let intervalMs = 0;
  const localities: LocalityLoad[] = [];
  for (const [field, wire] of fieldsOf(reader)) {
    if (field === 1 && wire === 2) cluster = reader.string();
    else if (field === 2 && wire === 2) localities.push(readLocalityLoad(reader));
    else if (field === 3 && wire === 0) dropped = readUint(reader);
    else if (field === 4 && wire === 2) intervalMs = readDuration(reader);
    else if (field === 6 && wire === 2) service = reader.string();
    else skip(reader, wire);
  }
  if (cluster.length > MAX_CLUSTER_NAME_LENGTH) throw new RangeError("cluster name too long");
  return { cluster, service, localities, dropped, intervalMs };
}

/** UTF-16 units; names of resources may have as many. */
const MAX_CLUSTER_NAME_LENGTH = 2_048;

/** UpstreamLocalityStats: locality = 1, successful = 2, in_progress = 3, error = 4, priority = 6, upstream_endpoint_stats = 7, issued = 8. */
function readLocalityLoad(reader: Reader): LocalityLoad {
  let locality: NodeLocality = { region: "", zone: "", subZone: "" };
  const counts = { successful: 0, errors: 0, issued: 0, inProgress: 0 };
  let priority = 0;
  const endpoints: EndpointLoad[] = [];
  for (const [field, wire] of fieldsOf(reader)) {
    if (field === 1 && wire === 2) locality = readLocality(reader);
    else if (field === 7 && wire === 2) {
      const endpoint = readEndpoint(reader);
      if (endpoint !== undefined) endpoints.push(endpoint);
    } else if (wire !== 0) skip(reader, wire);
    else if (field === 2) counts.successful = readUint(reader);
    else if (field === 3) counts.inProgress = readUint(reader);
    else if (field === 4) counts.errors = readUint(reader);
    else if (field === 6) priority = readUint(reader);
    else if (field === 8) counts.issued = readUint(reader);
    else skip(reader, wire);
  }
  return { locality, priority, endpoints, ...counts };
}

/** UpstreamEndpointStats: address = 1, successful = 2, in_progress = 3, error = 4, issued = 7. Undefined for one that has no IP address and port. */
function readEndpoint(reader: Reader): EndpointLoad | undefined {
  let place: { readonly address: string; readonly port: number } | undefined;
  const counts = { successful: 0, errors: 0, issued: 0, inProgress: 0 };
  for (const [field, wire] of fieldsOf(reader)) {
    if (field === 1 && wire === 2) place = readAddress(reader);
    else if (wire !== 0) skip(reader, wire);
    else if (field === 2) counts.successful = readUint(reader);
    else if (field === 3) counts.inProgress = readUint(reader);
    else if (field === 4) counts.errors = readUint(reader);
    else if (field === 7) counts.issued = readUint(reader);
    else skip(reader, wire);
  }
  return place === undefined || place.address === "" ? undefined : { ...place, ...counts };
}

/** Address: socket_address = 1 {address = 2, port_value = 3}. */
function readAddress(reader: Reader): { readonly address: string; readonly port: number } | undefined {
  let place: { address: string; port: number } | undefined;
  for (const [field, wire] of fieldsOf(reader)) {
    if (field !== 1 || wire !== 2) {
      skip(reader, wire);
      continue;
    }
    place = { address: "", port: 0 };
    for (const [part, partWire] of fieldsOf(reader)) {
      if (part === 2 && partWire === 2) place.address = reader.string().slice(0, MAX_NODE_ID_LENGTH);
      else if (part === 3 && partWire === 0) place.port = readUint(reader);
      else skip(reader, partWire);
    }
  }
  return place;
}

function readDuration(reader: Reader): number {
  let ms = 0;
  for (const [field, wire] of fieldsOf(reader)) {
    if (field === 1 && wire === 0) ms += readUint(reader) * 1_000;
    else if (field === 2 && wire === 0) ms += readUint(reader) / 1_000_000;
    else skip(reader, wire);
  }
  return ms;
}

/** A varint as a double, exact to 2^53; protobufjs would make an object of each. */
function readUint(reader: Reader): number {
  let value = 0;
  for (let bits = 0; bits < 70; bits += 7) {
    const byte = reader.pos < reader.len ? (reader.buf[reader.pos++] ?? 0) : 0x100;
    if (byte === 0x100) break;
    value += (byte & 0x7f) * 2 ** bits;
    if (byte < 0x80) return value;
  }
  throw new RangeError("a number is cut off");
}

/** @param clusters that are to be reported; all when undefined */
export function encodeLoadResponse(clusters: Iterable<string> | undefined, intervalMs: number): Uint8Array {
  const writer = protobuf.Writer.create();
  for (const cluster of clusters ?? []) writer.uint32(0x0a).string(cluster);
  writer.uint32(0x12).fork();
  writer.uint32(0x08).int64(Math.floor(intervalMs / 1_000));
  writer.uint32(0x10).int32((intervalMs % 1_000) * 1_000_000);
  writer.ldelim();
  // Counts per endpoint, not per locality alone.
  writer.uint32(0x18).bool(true);
  if (clusters === undefined) writer.uint32(0x20).bool(true);
  return writer.finish();
}
