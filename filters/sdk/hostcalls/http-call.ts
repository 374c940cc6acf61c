import { Status } from "../abi";
import { Bytes } from "../bytes";
import { PairsWriter } from "../writer";
import { OUT } from "./out";

// prettier-ignore
@external("env", "proxy_http_call")
declare function proxy_http_call(cluster: usize, clusterSize: i32, headers: usize, headersSize: i32, body: usize, bodySize: i32, trailers: usize, trailersSize: i32, timeout: i32, id: usize): i32;

export namespace httpCall {
  /**
   * Starts an HTTP request to an Envoy cluster. `headers` needs `:method`, `:path` and `:authority`, else `BadArgument`.
   * `timeout` in milliseconds; 0 is none, which no filter should want. Contexts use `Context.httpCall`, which routes the answer.
   */
  export function send(cluster: Bytes, headers: PairsWriter, body: Bytes, trailers: PairsWriter, timeout: i32): Status {
    const headerPairs = headers.view();
    const trailerPairs = trailers.view();
    return proxy_http_call(
      cluster.ptr,
      cluster.len,
      headerPairs.ptr,
      headerPairs.len,
      body.ptr,
      body.len,
      trailerPairs.ptr,
      trailerPairs.len,
      timeout,
      OUT,
    );
  }

  /** Id of the last call that started. */
  @inline
  export function lastId(): u32 {
    return load<u32>(OUT);
  }
}
