import { Status } from "../abi";
import { Bytes } from "../bytes";
import { OUT, OUT2, OUT3, takeBytes } from "./out";

@external("env", "proxy_get_shared_data")
declare function proxy_get_shared_data(key: usize, keySize: i32, data: usize, size: usize, cas: usize): i32;

@external("env", "proxy_set_shared_data")
declare function proxy_set_shared_data(key: usize, keySize: i32, data: usize, size: i32, cas: u32): i32;

/** Key-value store shared by all VMs with the same vm_id in one Envoy. Nothing is ever deleted: use a fixed set of keys. */
export namespace sharedData {
  /** Borrows the value and remembers its version for `cas()`. `NotFound` when the key was never written. */
  export function get(key: Bytes, into: Bytes): Status {
    const status = proxy_get_shared_data(key.ptr, key.len, OUT, OUT2, OUT3);
    if (status == Status.Ok) takeBytes(into);
    else into.clear();
    return status;
  }

  /** Version of the value that the last successful `get` returned. */
  @inline
  export function cas(): u32 {
    return load<u32>(OUT3);
  }

  /** Writes when the version is still `cas`, else `CasMismatch`. 0 writes unconditionally, so a first insert can lose a race. */
  export function set(key: Bytes, data: Bytes, cas: u32): Status {
    return proxy_set_shared_data(key.ptr, key.len, data.ptr, data.len, cas);
  }
}
