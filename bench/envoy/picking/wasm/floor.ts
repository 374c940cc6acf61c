/**
 * What a Proxy-Wasm filter that picks cannot do without, and nothing else: it makes the hostcalls of hash-ring in the same callbacks, and looks at nothing that they return. No such filter adds less,
 * however fast it thinks.
 */
import "../../../../filters/sdk/abort";

@external("env", "proxy_get_buffer_bytes")
declare function proxy_get_buffer_bytes(type: i32, start: i32, maxSize: i32, data: usize, size: usize): i32;

@external("env", "proxy_get_header_map_pairs")
declare function proxy_get_header_map_pairs(type: i32, data: usize, size: usize): i32;

@external("env", "proxy_replace_header_map_value")
declare function proxy_replace_header_map_value(type: i32, key: usize, keySize: i32, value: usize, valueSize: i32): i32;

@external("env", "proxy_get_property")
declare function proxy_get_property(path: usize, pathSize: i32, data: usize, size: usize): i32;

@external("env", "proxy_get_current_time_nanoseconds")
declare function proxy_get_current_time_nanoseconds(at: usize): i32;

const REQUEST: i32 = 0;
const RESPONSE: i32 = 1;
const CONTINUE: i32 = 0;
const STOP: i32 = 1;

const OUT: usize = memory.data(64, 16);
const OUT2: usize = OUT + 16;
/** Everything that the host hands over lies here. */
const received: usize = heap.alloc(1 << 20);

const PREFIX = String.UTF8.encode("x-llm-prefix");
const DESTINATION = String.UTF8.encode("x-gateway-destination-endpoint");
const VALUE = String.UTF8.encode("0123456789abcdef");
const CODE = String.UTF8.encode("response\0code");
const ADDRESS = String.UTF8.encode("upstream\0address");

export function proxy_abi_version_0_2_1(): void {}

export function proxy_on_memory_allocate(size: usize): usize {
  return size <= 1 << 20 ? received : 0;
}

export function proxy_on_context_create(id: u32, parent: u32): void {}

export function proxy_on_request_headers(id: u32, count: i32, endOfStream: i32): i32 {
  proxy_get_header_map_pairs(REQUEST, OUT, OUT2);
  proxy_get_current_time_nanoseconds(OUT);
  return endOfStream == 0 ? STOP : CONTINUE;
}

export function proxy_on_request_body(id: u32, size: i32, endOfStream: i32): i32 {
  if (endOfStream == 0) return STOP;
  proxy_get_buffer_bytes(REQUEST, 0, size, OUT, OUT2);
  replace(PREFIX);
  proxy_get_current_time_nanoseconds(OUT);
  replace(DESTINATION);
  return CONTINUE;
}

export function proxy_on_response_headers(id: u32, count: i32, endOfStream: i32): i32 {
  property(CODE);
  property(ADDRESS);
  return CONTINUE;
}

export function proxy_on_response_body(id: u32, size: i32, endOfStream: i32): i32 {
  proxy_get_buffer_bytes(RESPONSE, 0, size, OUT, OUT2);
  return CONTINUE;
}

export function proxy_on_delete(id: u32): void {
  proxy_get_current_time_nanoseconds(OUT);
}

function replace(name: ArrayBuffer): void {
  proxy_replace_header_map_value(REQUEST, changetype<usize>(name), name.byteLength, changetype<usize>(VALUE), VALUE.byteLength);
}

function property(path: ArrayBuffer): void {
  proxy_get_property(changetype<usize>(path), path.byteLength, OUT, OUT2);
}
