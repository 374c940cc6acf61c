import { Status } from "../abi";
import { Bytes } from "../bytes";
import { OUT, OUT2, takeBytes } from "./out";

@external("env", "proxy_get_property")
declare function proxy_get_property(path: usize, pathSize: i32, data: usize, size: usize): i32;

@external("env", "proxy_set_property")
declare function proxy_set_property(path: usize, pathSize: i32, data: usize, size: i32): i32;

const value = new Bytes();

/** Paths are parts joined by `\0`, for example `Bytes.literal("request\0total_size")`. */
export namespace property {
  export function get(path: Bytes, into: Bytes): Status {
    const status = proxy_get_property(path.ptr, path.len, OUT, OUT2);
    if (status == Status.Ok) takeBytes(into);
    else into.clear();
    return status;
  }

  /** An integer, duration (ns) or timestamp (ns) property: eight little-endian bytes. `fallback` when it is absent or of another size. */
  export function integer(path: Bytes, fallback: i64): i64 {
    return get(path, value) == Status.Ok && value.len == 8 ? load<i64>(value.ptr) : fallback;
  }

  /** Writes filter state: readable in access logs as `%FILTER_STATE(wasm.<path>:PLAIN)%`. */
  export function set(path: Bytes, data: Bytes): Status {
    return proxy_set_property(path.ptr, path.len, data.ptr, data.len);
  }
}
