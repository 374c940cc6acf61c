import { Bytes, ByteWriter, FilterHeadersStatus, HeaderBatch, HttpContext, MapType, registerRoot, RootContext, StreamContext } from "../../../filters/sdk";
import { note, op } from "./lib/say";

export * from "../../../filters/sdk/exports/lifecycle";
export { proxy_on_request_headers, proxy_on_response_headers } from "../../../filters/sdk/exports/http";

const names = [Bytes.literal("x-a"), Bytes.literal("x-long-name"), Bytes.literal("x-b")];
const batch = new HeaderBatch();
const large = new ByteWriter();

class Root extends RootContext {
  createStream(): StreamContext {
    return new Stream(this);
  }
}

class Stream extends HttpContext {
  private what: string = "";

  onRequestHeaders(count: i32, endOfStream: bool): FilterHeadersStatus {
    this.what = op();
    return FilterHeadersStatus.Continue;
  }

  onResponseHeaders(count: i32, endOfStream: bool): FilterHeadersStatus {
    const type = this.what == "absent" ? MapType.HttpResponseTrailers : MapType.HttpResponseHeaders;
    if (!batch.begin(type, names)) {
      note("nothing");
      return FilterHeadersStatus.Continue;
    }
    large.reset();
    // Of all that is written: count, three pairs of lengths, names and values with their zeros.
    if (this.what == "large") while (large.len < 1024 * 1024) large.byte(0x78);
    for (let i = 0; i < names.length; i++) batch.pairs.add(names[i], this.what == "large" ? large.view() : Bytes.literal(i.toString()));
    note(batch.end().toString());
    return FilterHeadersStatus.Continue;
  }
}

registerRoot("batch", () => new Root());
