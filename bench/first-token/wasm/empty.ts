/**
 * Bench-only filter: has every callback of an HTTP stream and does nothing in any of them. What Envoy takes for it, it takes for any Wasm filter.
 *
 * Not made of the SDK, whose callbacks look up a context first.
 */
import "../../../filters/sdk/abort";

/** Marker only; the host looks for its name. */
export function proxy_abi_version_0_2_1(): void {}

/** Nothing here asks the host for data, so it has nothing to put anywhere; the address only has to be one. */
export function proxy_on_memory_allocate(size: usize): usize {
  return memory.data(1024);
}

export function proxy_on_context_create(id: u32, parentId: u32): void {}

export function proxy_on_vm_start(id: u32, size: i32): i32 {
  return 1;
}

export function proxy_on_configure(id: u32, size: i32): i32 {
  return 1;
}

export function proxy_on_request_headers(id: u32, count: i32, endOfStream: i32): i32 {
  return 0;
}

export function proxy_on_request_body(id: u32, size: i32, endOfStream: i32): i32 {
  return 0;
}

export function proxy_on_request_trailers(id: u32, count: i32): i32 {
  return 0;
}

export function proxy_on_response_headers(id: u32, count: i32, endOfStream: i32): i32 {
  return 0;
}

export function proxy_on_response_body(id: u32, size: i32, endOfStream: i32): i32 {
  return 0;
}

export function proxy_on_response_trailers(id: u32, count: i32): i32 {
  return 0;
}

export function proxy_on_done(id: u32): i32 {
  return 1;
}

export function proxy_on_log(id: u32): void {}

export function proxy_on_delete(id: u32): void {}
