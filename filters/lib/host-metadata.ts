/**
 * Finds which target an endpoint stands for: `filter_metadata: {tokenmesh: {target: NAME}}` in a serialised envoy.config.core.v3.Metadata, as Envoy hands it out for the
 * chosen host.
 *
 *   Metadata { 1: map<string, Struct> filter_metadata }    a map is a list of messages { 1: key, 2: value }
 *   Struct   { 1: map<string, Value> fields }
 *   Value    { oneof: 1 null, 2 number, 3 string, 4 bool, 5 Struct, 6 list }
 *
 * What it finds is what protobuf's own parser finds: the last of duplicate keys and of duplicate scalars, and values in pieces merged.
 */
import { sameText } from "./json-capture";
import { ProtoFields, WireType } from "./proto-fields";

/** A name in the bytes that were searched; borrowed from them. */
@final
export class HostTarget {
  ptr: usize = 0;
  length: i32 = 0;
}

/** What the last `findHostTarget` found; means something only if that returned true. */
export const hostTarget: HostTarget = new HostTarget();

/** One for each level of the message. */
const metadata: ProtoFields = new ProtoFields();
const filter: ProtoFields = new ProtoFields();
const fields: ProtoFields = new ProtoFields();
const member: ProtoFields = new ProtoFields();
const value: ProtoFields = new ProtoFields();

let found: bool = false;
let broken: bool = false;

/** Searches the Metadata in bytes [from, from + length). False when it names no target, or not by a string, and when the bytes are no Metadata. O(length), no allocation. */
export function findHostTarget(from: usize, length: i32): bool {
  found = false;
  broken = false;
  metadata.open(from, length);
  while (metadata.next()) {
    if (!metadata.is(1, WireType.Bytes) || !hasKey(metadata, filter, "tokenmesh")) continue;
    found = false;
    while (filter.next()) if (filter.is(2, WireType.Bytes)) readStruct();
    broken = broken || filter.failed;
  }
  return found && !broken && !metadata.failed;
}

/** The Struct that `filter` stands at. */
function readStruct(): void {
  fields.open(filter.ptr, filter.length);
  while (fields.next()) {
    if (!fields.is(1, WireType.Bytes) || !hasKey(fields, member, "target")) continue;
    found = false;
    while (member.next()) if (member.is(2, WireType.Bytes)) readValue();
    broken = broken || member.failed;
  }
  broken = broken || fields.failed;
}

/** The Value that `member` stands at: the last member of the oneof counts. */
function readValue(): void {
  value.open(member.ptr, member.length);
  while (value.next()) {
    if (value.is(3, WireType.Bytes)) {
      found = true;
      hostTarget.ptr = value.ptr;
      hostTarget.length = value.length;
    } else if (
      value.is(1, WireType.Varint) ||
      value.is(2, WireType.Fixed64) ||
      value.is(4, WireType.Varint) ||
      value.is(5, WireType.Bytes) ||
      value.is(6, WireType.Bytes)
    ) {
      found = false;
    }
  }
  broken = broken || value.failed;
}

/** Whether the map entry that `map` stands at has this key, which may stand behind the value. `entry` is at its start then. */
function hasKey(map: ProtoFields, entry: ProtoFields, key: string): bool {
  let same = false;
  entry.open(map.ptr, map.length);
  while (entry.next()) {
    if (entry.is(1, WireType.Bytes)) same = entry.length == key.length && sameText(key, entry.ptr);
  }
  broken = broken || entry.failed;
  entry.open(map.ptr, map.length);
  return same;
}
