import { Status } from "../abi";
import { Bytes } from "../bytes";
import { OUT, OUT2, OUT3 } from "./out";

@external("env", "proxy_get_status")
declare function proxy_get_status(code: usize, message: usize, size: usize): i32;

export namespace callStatus {
  /** gRPC status of the call whose `onGrpcClose` runs; the message is borrowed. -1 when the host refuses. */
  export function get(message: Bytes): i32 {
    if (proxy_get_status(OUT, OUT2, OUT3) != Status.Ok) {
      message.clear();
      return -1;
    }
    message.set(load<u32>(OUT2), load<i32>(OUT3));
    return load<i32>(OUT);
  }
}
