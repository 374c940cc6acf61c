import { Status } from "../abi";
import { Bytes } from "../bytes";
import { PairsWriter } from "../writer";
import { OUT } from "./out";

// prettier-ignore
@external("env", "proxy_grpc_call")
declare function proxy_grpc_call(cluster: usize, clusterSize: i32, service: usize, serviceSize: i32, method: usize, methodSize: i32, metadata: usize, metadataSize: i32, message: usize, messageSize: i32, timeout: i32, id: usize): i32;

// prettier-ignore
@external("env", "proxy_grpc_stream")
declare function proxy_grpc_stream(cluster: usize, clusterSize: i32, service: usize, serviceSize: i32, method: usize, methodSize: i32, metadata: usize, metadataSize: i32, id: usize): i32;

@external("env", "proxy_grpc_send")
declare function proxy_grpc_send(id: u32, message: usize, messageSize: i32, endStream: i32): i32;

@external("env", "proxy_grpc_cancel")
declare function proxy_grpc_cancel(id: u32): i32;

@external("env", "proxy_grpc_close")
declare function proxy_grpc_close(id: u32): i32;

/** `cluster` is an Envoy cluster name or a serialised `envoy.config.core.v3.GrpcService`. */
export namespace grpc {
  /** Starts a unary call; the answer comes to `onGrpcReceive` or `onGrpcClose`. `timeout` in milliseconds. */
  export function call(
    cluster: Bytes,
    service: Bytes,
    method: Bytes,
    metadata: PairsWriter,
    message: Bytes,
    timeout: i32,
  ): Status {
    const pairs = metadata.view();
    return proxy_grpc_call(
      cluster.ptr,
      cluster.len,
      service.ptr,
      service.len,
      method.ptr,
      method.len,
      pairs.ptr,
      pairs.len,
      message.ptr,
      message.len,
      timeout,
      OUT,
    );
  }

  export function open(cluster: Bytes, service: Bytes, method: Bytes, metadata: PairsWriter): Status {
    const pairs = metadata.view();
    return proxy_grpc_stream(
      cluster.ptr,
      cluster.len,
      service.ptr,
      service.len,
      method.ptr,
      method.len,
      pairs.ptr,
      pairs.len,
      OUT,
    );
  }

  /** Id of the last call or stream that started. */
  @inline
  export function lastId(): u32 {
    return load<u32>(OUT);
  }

  export function send(id: u32, message: Bytes, endStream: bool): Status {
    return proxy_grpc_send(id, message.ptr, message.len, endStream ? 1 : 0);
  }

  export function cancel(id: u32): Status {
    return proxy_grpc_cancel(id);
  }

  export function close(id: u32): Status {
    return proxy_grpc_close(id);
  }
}
