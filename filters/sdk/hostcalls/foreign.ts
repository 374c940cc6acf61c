import { Status } from "../abi";
import { Bytes } from "../bytes";
import { OUT, OUT2, takeBytes } from "./out";

@external("env", "proxy_call_foreign_function")
declare function proxy_call_foreign_function(name: usize, nameSize: i32, args: usize, argsSize: i32, data: usize, size: usize): i32;

export namespace foreign {
  /** Calls a host function by name (Envoy: `compress`, `uncompress`, `set_envoy_filter_state`, `clear_route_cache`, `expr_create`, ...). */
  export function call(name: Bytes, args: Bytes, into: Bytes): Status {
    const status = proxy_call_foreign_function(name.ptr, name.len, args.ptr, args.len, OUT, OUT2);
    if (status == Status.Ok) takeBytes(into);
    else into.clear();
    return status;
  }
}
