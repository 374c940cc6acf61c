/** Traps when a request carries `x-trap`, each value in its own way; marks every other response with `x-trapper: alive`. */
import {
  Bytes,
  FilterHeadersStatus,
  headers,
  HttpContext,
  MapType,
  registerRoot,
  RootContext,
  Status,
  StreamContext,
} from "../../../filters/sdk";

export * from "../../../filters/sdk/exports/lifecycle";
export { proxy_on_request_headers, proxy_on_response_headers } from "../../../filters/sdk/exports/http";

const TRAP = Bytes.literal("x-trap");
const ASSERT = Bytes.literal("assert");
const BOUNDS = Bytes.literal("bounds");
const MARK = Bytes.literal("x-trapper");
const ALIVE = Bytes.literal("alive");
const value = new Bytes();

class TrapperRoot extends RootContext {
  createStream(): StreamContext {
    return new Trapper(this);
  }
}

class Trapper extends HttpContext {
  onRequestHeaders(count: i32, endOfStream: bool): FilterHeadersStatus {
    if (headers.get(MapType.HttpRequestHeaders, TRAP, value) != Status.Ok) return FilterHeadersStatus.Continue;
    if (value.equals(ASSERT)) assert(false, "trap on purpose");
    if (value.equals(BOUNDS)) store<u8>(0xffff_fff0, 1);
    return unreachable();
  }

  onResponseHeaders(count: i32, endOfStream: bool): FilterHeadersStatus {
    headers.replace(MapType.HttpResponseHeaders, MARK, ALIVE);
    return FilterHeadersStatus.Continue;
  }
}

registerRoot("trapper", () => new TrapperRoot());
