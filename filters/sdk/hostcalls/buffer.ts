import { BufferType, Status } from "../abi";
import { Bytes } from "../bytes";
import { OUT, OUT2, takeBytes } from "./out";

@external("env", "proxy_get_buffer_bytes")
declare function proxy_get_buffer_bytes(type: i32, start: i32, maxSize: i32, data: usize, size: usize): i32;

@external("env", "proxy_get_buffer_status")
declare function proxy_get_buffer_status(type: i32, size: usize, flags: usize): i32;

@external("env", "proxy_set_buffer_bytes")
declare function proxy_set_buffer_bytes(type: i32, start: i32, size: i32, data: usize, length: i32): i32;

export namespace buffer {
  /** Borrows up to `maxSize` bytes from `start`. `Ok` with fewer bytes at the end of the buffer; copies, so O(bytes). */
  export function get(type: BufferType, start: i32, maxSize: i32, into: Bytes): Status {
    const status = proxy_get_buffer_bytes(type, start, maxSize, OUT, OUT2);
    if (status == Status.Ok) takeBytes(into);
    else into.clear();
    return status;
  }

  /** Bytes in the buffer, or -1 when it is not available in this callback. */
  export function size(type: BufferType): i32 {
    return proxy_get_buffer_status(type, OUT, OUT2) == Status.Ok ? load<i32>(OUT) : -1;
  }

  /**
   * Replaces `[0, length)` with `data`. Envoy takes exactly three edits: prefix replaced (this), bytes added in front
   * (length 0), bytes added behind (`append`); anything in the middle is `BadArgument`.
   */
  @inline
  export function replacePrefix(type: BufferType, length: i32, data: Bytes): Status {
    return proxy_set_buffer_bytes(type, 0, length, data.ptr, data.len);
  }

  @inline
  export function append(type: BufferType, data: Bytes): Status {
    return proxy_set_buffer_bytes(type, i32.MAX_VALUE, 0, data.ptr, data.len);
  }

  /** Replaces the whole buffer. */
  @inline
  export function replace(type: BufferType, data: Bytes): Status {
    return proxy_set_buffer_bytes(type, 0, i32.MAX_VALUE, data.ptr, data.len);
  }
}
