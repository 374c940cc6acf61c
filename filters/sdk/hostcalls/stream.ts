import { Status, StreamType } from "../abi";
import { Bytes } from "../bytes";
import { PairsWriter } from "../writer";

@external("env", "proxy_continue_stream")
declare function proxy_continue_stream(type: i32): i32;

@external("env", "proxy_close_stream")
declare function proxy_close_stream(type: i32): i32;

// prettier-ignore
@external("env", "proxy_send_local_response")
declare function proxy_send_local_response(code: i32, details: usize, detailsSize: i32, body: usize, bodySize: i32, headers: usize, headersSize: i32, grpcStatus: i32): i32;

@external("env", "proxy_set_effective_context")
declare function proxy_set_effective_context(context: u32): i32;

@external("env", "proxy_done")
declare function proxy_done(): i32;

export namespace stream {
  /** Releases a paused stream. Envoy lets go of headers and body at once: change them before. */
  export function resume(type: StreamType): Status {
    return proxy_continue_stream(type);
  }

  export function close(type: StreamType): Status {
    return proxy_close_stream(type);
  }

  /**
   * Answers instead of the upstream. The answer passes this filter's own response callbacks before the call returns.
   * `details` becomes `%RESPONSE_CODE_DETAILS%`; `grpcStatus` is -1 for plain HTTP.
   */
  export function respond(code: i32, details: Bytes, body: Bytes, headers: PairsWriter, grpcStatus: i32 = -1): Status {
    const pairs = headers.view();
    return proxy_send_local_response(
      code,
      details.ptr,
      details.len,
      body.ptr,
      body.len,
      pairs.ptr,
      pairs.len,
      grpcStatus,
    );
  }

  /** Makes `context` the one that hostcalls act on until the callback returns: needed in ticks and callout answers. */
  export function setEffectiveContext(context: u32): Status {
    return proxy_set_effective_context(context);
  }

  /** Ends a context whose `onDone` returned false. */
  export function done(): Status {
    return proxy_done();
  }
}
