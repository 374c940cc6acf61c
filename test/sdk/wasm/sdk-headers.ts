import { Bytes, FilterHeadersStatus, FilterTrailersStatus, HeaderPairs, headers, HttpContext, MapType, PairsWriter, registerRoot, RootContext, Status, StreamContext } from "../../../filters/sdk";
import { note, op, say, show } from "./lib/say";

export * from "../../../filters/sdk/exports/lifecycle";
export { proxy_on_request_headers, proxy_on_request_trailers, proxy_on_response_headers } from "../../../filters/sdk/exports/http";

const value = new Bytes();
const pairs = new HeaderPairs();
const writer = new PairsWriter();

class Root extends RootContext {
  createStream(): StreamContext {
    return new Stream(this);
  }
}

class Stream extends HttpContext {
  onRequestHeaders(count: i32, endOfStream: bool): FilterHeadersStatus {
    const what = op();
    const request = MapType.HttpRequestHeaders;
    if (what == "get") {
      say("found", show(headers.get(request, Bytes.literal("x-in"), value), value));
      say("empty", show(headers.get(request, Bytes.literal("x-empty"), value), value));
      say("missing", show(headers.get(request, Bytes.literal("x-none"), value), value));
      say("elsewhere", show(headers.get(MapType.HttpResponseHeaders, Bytes.literal("x-in"), value), value));
    } else if (what == "walk") {
      const status = pairs.load(request);
      let names = "";
      let seen = 0;
      while (pairs.next()) {
        seen++;
        if (pairs.name.startsWith(Bytes.literal("x-"))) names += pairs.name.toString() + "=" + pairs.value.toString() + ";";
      }
      say("walk", status.toString() + " " + (seen == count).toString() + " " + names);
      pairs.rewind();
      say("again", pairs.next().toString());
      say("absent", pairs.load(MapType.HttpResponseTrailers).toString() + " " + pairs.next().toString());
    } else if (what == "change") {
      const name = Bytes.literal("x-in");
      note(headers.add(request, name, Bytes.literal("second")).toString() + headers.replace(request, Bytes.literal("x-new"), Bytes.literal("n")).toString() + headers.remove(request, Bytes.literal("x-gone")).toString());
      note(headers.remove(request, Bytes.literal("x-never")).toString() + headers.replace(MapType.HttpResponseHeaders, name, name).toString());
    } else if (what == "set") {
      writer.reset();
      pairs.load(request);
      while (pairs.next()) if (pairs.name.at(0) == 58) writer.add(pairs.name, pairs.value);
      writer.add(Bytes.literal("x-only"), Bytes.literal(""));
      note(headers.setPairs(request, writer).toString());
    } else if (what == "size") {
      note(headers.byteSize(request).toString() + " " + headers.byteSize(MapType.HttpResponseHeaders).toString());
    } else if (what == "many") {
      writer.reset();
      for (let i = 0; i < 2000; i++) writer.add(Bytes.literal("x-" + i.toString()), Bytes.literal("v"));
      note(headers.setPairs(MapType.HttpRequestHeaders, writer).toString());
    } else if (what == "twice") {
      // A borrowed view stays readable while the next one is taken in the same callback.
      const other = new Bytes();
      headers.get(request, Bytes.literal("x-in"), value);
      headers.get(request, Bytes.literal("op"), other);
      say("twice", value.toString() + other.toString());
    }
    return FilterHeadersStatus.Continue;
  }

  onRequestTrailers(count: i32): FilterTrailersStatus {
    headers.add(MapType.HttpRequestTrailers, Bytes.literal("x-count"), Bytes.literal(count.toString()));
    headers.remove(MapType.HttpRequestTrailers, Bytes.literal("x-secret"));
    note("late " + headers.add(MapType.HttpRequestHeaders, Bytes.literal("x-late"), Bytes.literal("1")).toString());
    return FilterTrailersStatus.Continue;
  }

  onResponseHeaders(count: i32, endOfStream: bool): FilterHeadersStatus {
    headers.add(MapType.HttpResponseHeaders, Bytes.literal("x-count"), Bytes.literal(count.toString()));
    return FilterHeadersStatus.Continue;
  }
}

registerRoot("headers", () => new Root());
