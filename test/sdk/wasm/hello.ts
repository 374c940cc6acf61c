import { Bytes, FilterHeadersStatus, headers, HttpContext, MapType, registerRoot, RootContext, StreamContext } from "../../../filters/sdk";

export * from "../../../filters/sdk/exports/lifecycle";
export { proxy_on_response_headers } from "../../../filters/sdk/exports/http";

const NAME = Bytes.literal("x-hello");
const VALUE = Bytes.literal("world");

class HelloRoot extends RootContext {
  createStream(): StreamContext {
    return new Hello(this);
  }
}

class Hello extends HttpContext {
  onResponseHeaders(count: i32, endOfStream: bool): FilterHeadersStatus {
    headers.replace(MapType.HttpResponseHeaders, NAME, VALUE);
    return FilterHeadersStatus.Continue;
  }
}

registerRoot("hello", () => new HelloRoot());
