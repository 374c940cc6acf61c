/**
 * `envoy.config.core.v3.Node` on the wire, read by hand: an Envoy also lists some hundred extensions in it, which nobody here wants to hold.
 *
 * id = 1, cluster = 2, metadata = 3 (google.protobuf.Struct), locality = 4 {region = 1, zone = 2, sub_zone = 3}, client_features = 10,
 * dynamic_parameters = 12 (map from type URL to xds.core.v3.ContextParams {params = 1, a map of texts}).
 */
import type protobuf from "protobufjs";
import { type DynamicParameters, NO_DYNAMIC_PARAMETERS, type NodeIdentity, type NodeLocality } from "../cache/index.ts";
import { CallError, Status } from "../grpc/index.ts";
import {
  MAX_CLIENT_FEATURES,
  MAX_DYNAMIC_PARAMETER_BYTES,
  MAX_METADATA_BYTES,
  MAX_METADATA_DEPTH,
  MAX_NODE_ID_LENGTH,
} from "./limits.ts";

type Reader = protobuf.Reader;

/**
 * @param reader at the length of the field
 * @throws CallError INVALID_ARGUMENT for a node that is too large, RangeError for bytes that are none
 */
export function readNode(reader: Reader): NodeIdentity {
  let id = "";
  let cluster = "";
  let metadata: Readonly<Record<string, unknown>> = {};
  let locality: NodeLocality = { region: "", zone: "", subZone: "" };
  const clientFeatures: string[] = [];
  let parameters: Record<string, DynamicParameters[string]> | undefined;
  let parameterBytes = 0;
  for (const [field, wire] of fieldsOf(reader)) {
    if (field === 1 && wire === 2) id = reader.string();
    else if (field === 2 && wire === 2) cluster = reader.string();
    else if (field === 3 && wire === 2) metadata = readMetadata(reader);
    else if (field === 4 && wire === 2) locality = readLocality(reader);
    else if (field === 10 && wire === 2) {
      if (clientFeatures.length === MAX_CLIENT_FEATURES) {
        throw invalid(`node.client_features may have ${MAX_CLIENT_FEATURES} entries`);
      }
      clientFeatures.push(reader.string());
    } else if (field === 12 && wire === 2) {
      parameterBytes += lengthAhead(reader);
      if (parameterBytes > MAX_DYNAMIC_PARAMETER_BYTES) {
        throw invalid(`node.dynamic_parameters may have ${MAX_DYNAMIC_PARAMETER_BYTES} bytes`);
      }
      parameters ??= Object.create(null) as Record<string, DynamicParameters[string]>;
      readParametersOfType(reader, parameters);
    } else skip(reader, wire);
  }
  if (id.length > MAX_NODE_ID_LENGTH || cluster.length > MAX_NODE_ID_LENGTH) {
    throw invalid(`node.id and node.cluster may have ${MAX_NODE_ID_LENGTH} characters`);
  }
  return { id, cluster, metadata, locality, clientFeatures, dynamicParameters: parameters ?? NO_DYNAMIC_PARAMETERS };
}

/** One entry of the map. What a client repeats counts as it says it last, as everywhere in protobuf. */
function readParametersOfType(reader: Reader, parameters: Record<string, DynamicParameters[string]>): void {
  let typeUrl = "";
  const params: Record<string, string> = Object.create(null);
  for (const [field, wire] of fieldsOf(reader)) {
    if (field === 1 && wire === 2) typeUrl = reader.string();
    else if (field === 2 && wire === 2) {
      for (const [part, partWire] of fieldsOf(reader)) {
        if (part === 1 && partWire === 2) {
          const [key, value] = readTexts(reader);
          params[key] = value;
        } else skip(reader, partWire);
      }
    } else skip(reader, wire);
  }
  parameters[typeUrl] = params;
}

export function readLocality(reader: Reader): NodeLocality {
  const texts = ["", "", ""];
  for (const [field, wire] of fieldsOf(reader)) {
    if (wire === 2 && field >= 1 && field <= 3) texts[field - 1] = reader.string().slice(0, MAX_NODE_ID_LENGTH);
    else skip(reader, wire);
  }
  const [region = "", zone = "", subZone = ""] = texts;
  return { region, zone, subZone };
}

function readMetadata(reader: Reader): Readonly<Record<string, unknown>> {
  if (lengthAhead(reader) > MAX_METADATA_BYTES) throw invalid(`node.metadata may have ${MAX_METADATA_BYTES} bytes`);
  return readStruct(reader, 1);
}

/** Without a prototype: the keys are the client's. */
export function readStruct(reader: Reader, depth: number): Readonly<Record<string, unknown>> {
  if (depth > MAX_METADATA_DEPTH) throw invalid(`node.metadata may be ${MAX_METADATA_DEPTH} levels deep`);
  const object: Record<string, unknown> = Object.create(null);
  for (const [field, wire] of fieldsOf(reader)) {
    if (field !== 1 || wire !== 2) {
      skip(reader, wire);
      continue;
    }
    let key = "";
    let value: unknown = null;
    for (const [part, partWire] of fieldsOf(reader)) {
      if (part === 1 && partWire === 2) key = reader.string();
      else if (part === 2 && partWire === 2) value = readValue(reader, depth);
      else skip(reader, partWire);
    }
    object[key] = value;
  }
  return object;
}

/** google.protobuf.Value: null = 1, number = 2, string = 3, bool = 4, struct = 5, list = 6 {values = 1}. */
function readValue(reader: Reader, depth: number): unknown {
  let value: unknown = null;
  for (const [field, wire] of fieldsOf(reader)) {
    if (field === 2 && wire === 1) value = reader.double();
    else if (field === 3 && wire === 2) value = reader.string();
    else if (field === 4 && wire === 0) value = reader.bool();
    else if (field === 5 && wire === 2) value = readStruct(reader, depth + 1);
    else if (field === 6 && wire === 2) value = readList(reader, depth + 1);
    else {
      skip(reader, wire);
      if (field === 1) value = null;
    }
  }
  return value;
}

function readList(reader: Reader, depth: number): readonly unknown[] {
  if (depth > MAX_METADATA_DEPTH) throw invalid(`node.metadata may be ${MAX_METADATA_DEPTH} levels deep`);
  const list: unknown[] = [];
  for (const [field, wire] of fieldsOf(reader)) {
    if (field === 1 && wire === 2) list.push(readValue(reader, depth));
    else skip(reader, wire);
  }
  return list;
}

/** An entry of a map of texts. */
export function readTexts(reader: Reader): readonly [key: string, value: string] {
  const texts: [string, string] = ["", ""];
  for (const [field, wire] of fieldsOf(reader)) {
    if (wire === 2 && (field === 1 || field === 2)) texts[field - 1] = reader.string();
    else skip(reader, wire);
  }
  return texts;
}

/** Number and wire type of each field of the message whose length comes next. The caller reads or skips the value before it goes on. @throws RangeError */
export function* fieldsOf(reader: Reader, length = reader.uint32()): Iterable<readonly [field: number, wire: number]> {
  const end = reader.pos + length;
  if (end > reader.len) throw new RangeError("a field is cut off");
  while (reader.pos < end) {
    const tag = reader.uint32();
    yield [tag >>> 3, tag & 7];
  }
  if (reader.pos !== end) throw new RangeError("a field reaches beyond its message");
}

/** @throws RangeError for groups, which would nest without end, and wire types that are none */
export function skip(reader: Reader, wire: number): void {
  if (wire === 3 || wire === 4) throw new RangeError("groups are not supported");
  reader.skipType(wire);
}

function lengthAhead(reader: Reader): number {
  const { pos } = reader;
  const length = reader.uint32();
  reader.pos = pos;
  return length;
}

function invalid(message: string): CallError {
  return new CallError(Status.invalidArgument, message);
}
