import { MapType, Status } from "../abi";
import { Bytes } from "../bytes";
import { PairsWriter } from "../writer";
import { OUT, OUT2, takeBytes } from "./out";

@external("env", "proxy_get_header_map_size")
declare function proxy_get_header_map_size(type: i32, size: usize): i32;

@external("env", "proxy_get_header_map_pairs")
declare function proxy_get_header_map_pairs(type: i32, data: usize, size: usize): i32;

@external("env", "proxy_set_header_map_pairs")
declare function proxy_set_header_map_pairs(type: i32, data: usize, size: i32): i32;

@external("env", "proxy_get_header_map_value")
declare function proxy_get_header_map_value(type: i32, key: usize, keySize: i32, data: usize, size: usize): i32;

@external("env", "proxy_add_header_map_value")
declare function proxy_add_header_map_value(type: i32, key: usize, keySize: i32, value: usize, valueSize: i32): i32;

@external("env", "proxy_replace_header_map_value")
declare function proxy_replace_header_map_value(type: i32, key: usize, keySize: i32, value: usize, valueSize: i32): i32;

@external("env", "proxy_remove_header_map_value")
declare function proxy_remove_header_map_value(type: i32, key: usize, keySize: i32): i32;

export namespace headers {
  /** Bytes of all names and values together, or -1 when the map is not available. */
  export function byteSize(type: MapType): i32 {
    return proxy_get_header_map_size(type, OUT) == Status.Ok ? load<i32>(OUT) : -1;
  }

  /** Borrows the serialised pairs; read them with `HeaderMap`. One call costs about as much as one `get`. */
  export function pairs(type: MapType, into: Bytes): Status {
    const status = proxy_get_header_map_pairs(type, OUT, OUT2);
    if (status == Status.Ok) takeBytes(into);
    else into.clear();
    return status;
  }

  export function setPairs(type: MapType, pairs: PairsWriter): Status {
    const view = pairs.view();
    return proxy_set_header_map_pairs(type, view.ptr, view.len);
  }

  /** Borrows the FIRST value of `name`: Envoy hides repeated headers here, so decisions about trust need `pairs`. */
  export function get(type: MapType, name: Bytes, into: Bytes): Status {
    const status = proxy_get_header_map_value(type, name.ptr, name.len, OUT, OUT2);
    if (status == Status.Ok) takeBytes(into);
    else into.clear();
    return status;
  }

  export function add(type: MapType, name: Bytes, value: Bytes): Status {
    return proxy_add_header_map_value(type, name.ptr, name.len, value.ptr, value.len);
  }

  /** Sets the only value of `name`. On request headers Envoy then picks the route again. */
  export function replace(type: MapType, name: Bytes, value: Bytes): Status {
    return proxy_replace_header_map_value(type, name.ptr, name.len, value.ptr, value.len);
  }

  /** Removes every value of `name`. */
  export function remove(type: MapType, name: Bytes): Status {
    return proxy_remove_header_map_value(type, name.ptr, name.len);
  }
}
