/**
 * Where a request may go, as the gateway in front of the picker says: a list of ip or ip:port, in Envoy's dynamic metadata (a list, or a text with commas) or in a header. What is not in the pool does not count;
 * a list that leaves nobody is a request that nobody may serve.
 *
 * Reference: Gateway API inference extension, proposal 004, "subset hint".
 */
import { Endpoints } from "../lib/pick/endpoints";
import { PickRequest } from "../lib/pick/pick-request";
import { Exchange } from "../pipeline/exchange";
import { Bytes, headers, MapType, property, Status } from "../sdk";
import { PickerPool } from "./picker-pool";
import { SubsetConfig } from "./pool-config";
import { hostLength } from "./socket-address";

const METADATA = Bytes.literal("metadata\0filter_metadata\0envoy.lb.subset_hint\0x-gateway-destination-endpoint-subset");
const COMMA: u8 = 0x2c;

const value = new Bytes();
const entry = new Bytes();
const host = new Bytes();

/** Restricts `request` if there is a list. O(entries x endpoints). */
export function readSubset(config: SubsetConfig, exchange: Exchange, endpoints: Endpoints, picker: PickerPool, request: PickRequest): void {
  let given = config.metadata && property.get(METADATA, value) == Status.Ok;
  if (!given && config.header >= 0 && exchange.headers.has(config.header)) {
    // Lists are longer than what is kept of a header.
    given = headers.get(MapType.HttpRequestHeaders, config.headerName, value) == Status.Ok;
  }
  if (!given) return;
  request.hasSubset = true;
  request.subset.clear();
  if (isList()) addList(endpoints, picker, request);
  else addText(0, value.len, endpoints, picker, request);
}

/**
 * Envoy shows a list value as a map whose keys are its entries: |count u32|key size u32, value size u32| x count, then the texts with a zero behind each. No text has a zero where the
 * count ends.
 */
function isList(): bool {
  return value.len >= 4 && value.at(3) == 0;
}

function addList(endpoints: Endpoints, picker: PickerPool, request: PickRequest): void {
  const count = load<u32>(value.ptr);
  if (4 + <u64>count * 8 > <u64>value.len) return;
  let at = 4 + <u64>count * 8;
  for (let i: u32 = 0; i < count; i++) {
    const sizes = value.ptr + 4 + <usize>i * 8;
    const end = at + <u64>load<u32>(sizes);
    if (end > <u64>value.len) return;
    addText(<i32>at, <i32>end, endpoints, picker, request);
    at = end + 2 + <u64>load<u32>(sizes, 4);
  }
}

function addText(at: i32, to: i32, endpoints: Endpoints, picker: PickerPool, request: PickRequest): void {
  while (at <= to) {
    const comma = value.indexOf(COMMA, at);
    const end = comma < 0 || comma > to ? to : comma;
    addEntry(at, end, endpoints, picker, request);
    at = end + 1;
  }
}

function addEntry(from: i32, to: i32, endpoints: Endpoints, picker: PickerPool, request: PickRequest): void {
  while (from < to && value.at(from) <= 0x20) from++;
  while (to > from && value.at(to - 1) <= 0x20) to--;
  if (from == to) return;
  entry.set(value.ptr + <usize>from, to - from);
  const members = endpoints.members;
  for (let slot = members.next(0); slot >= 0; slot = members.next(slot + 1)) {
    const address = picker.address(slot);
    if (address.equals(entry) || isHost(address)) request.subset.add(slot);
  }
}

/** `entry` is the address without its port; of version 6 also without its brackets. */
function isHost(address: Bytes): bool {
  const length = hostLength(address);
  if (length == entry.len) return address.startsWith(entry);
  host.set(address.ptr + 1, length - 2);
  return address.at(0) == 0x5b && host.equals(entry);
}
