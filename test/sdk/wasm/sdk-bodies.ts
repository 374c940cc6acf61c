import { BufferType, Bytes, buffer, FilterDataStatus, FilterHeadersStatus, headers, HttpContext, MapType, registerRoot, RootContext, scratch, Status, StreamContext } from "../../../filters/sdk";
import { note, op, show } from "./lib/say";

export * from "../../../filters/sdk/exports/lifecycle";
export { proxy_on_request_body, proxy_on_request_headers, proxy_on_response_body } from "../../../filters/sdk/exports/http";

const bytes = new Bytes();
/** Kept across callbacks on purpose: what a filter must never do. */
const kept = new Bytes();
const body = BufferType.HttpRequestBody;

class Root extends RootContext {
  onConfigure(size: i32): bool {
    note("config " + show(buffer.get(BufferType.PluginConfiguration, 0, size, bytes), bytes));
    note("beyond " + show(buffer.get(BufferType.PluginConfiguration, 3, 1000, bytes), bytes));
    return true;
  }
  onVmStart(size: i32): bool {
    note("vm " + show(buffer.get(BufferType.VmConfiguration, 0, size, bytes), bytes) + " plugin " + buffer.size(BufferType.PluginConfiguration).toString());
    return true;
  }
  createStream(): StreamContext {
    return new Stream(this);
  }
}

class Stream extends HttpContext {
  op: string = "";
  seen: i32 = 0;

  onCreate(): void {
    this.op = "";
    this.seen = 0;
  }
  onRequestHeaders(count: i32, endOfStream: bool): FilterHeadersStatus {
    this.op = op();
    return this.op == "stream" || this.op == "kept" ? FilterHeadersStatus.Continue : FilterHeadersStatus.StopIteration;
  }

  onRequestBody(size: i32, endOfStream: bool): FilterDataStatus {
    if (this.op == "stream") {
      note(size.toString() + " " + show(buffer.get(body, 0, size, bytes), bytes));
      return FilterDataStatus.Continue;
    }
    if (this.op == "kept") {
      if (this.seen++ == 0) buffer.get(body, 0, size, kept);
      else note("kept " + kept.at(0).toString() + " " + kept.at(kept.len - 1).toString());
      return FilterDataStatus.Continue;
    }
    if (this.op == "large") {
      // More than the arena: overflow blocks, given back when the callback ends.
      if (endOfStream) {
        const status = buffer.get(body, 0, size, bytes);
        note("large " + status.toString() + " " + bytes.len.toString() + " " + bytes.at(bytes.len - 1).toString());
      }
      return endOfStream ? FilterDataStatus.Continue : FilterDataStatus.StopIterationAndBuffer;
    }
    if (this.op == "windows") {
      if (!endOfStream) return FilterDataStatus.StopIterationAndBuffer;
      let sum = 0;
      for (let at = 0; at < size; at += 1000) {
        const mark = scratch.mark();
        if (buffer.get(body, at, 1000, bytes) == Status.Ok) sum += bytes.len;
        scratch.rewind(mark);
      }
      note("windows " + sum.toString());
      return FilterDataStatus.Continue;
    }
    if (!endOfStream) return FilterDataStatus.StopIterationAndBuffer;
    if (this.op == "replace") {
      note(buffer.replace(body, Bytes.literal("new")).toString());
      headers.replace(MapType.HttpRequestHeaders, Bytes.literal("content-length"), Bytes.literal("3"));
    } else if (this.op == "prefix") note(buffer.replacePrefix(body, 3, Bytes.literal("longer")).toString());
    else if (this.op == "append") note(buffer.append(body, Bytes.literal(">")).toString());
    else if (this.op == "erase") note(buffer.replace(body, Bytes.literal("")).toString());
    else if (this.op == "misuse") {
      note("beyond " + show(buffer.get(body, 1000, 10, bytes), bytes));
      note("negative " + show(buffer.get(body, -1, -1, bytes), bytes));
      note("other side " + buffer.size(BufferType.HttpResponseBody).toString() + " " + show(buffer.get(BufferType.HttpResponseBody, 0, 10, bytes), bytes));
      note("callout " + buffer.size(BufferType.HttpCallResponseBody).toString());
      note("unknown " + buffer.size(changetype<BufferType>(99)).toString());
      note("write config " + buffer.append(BufferType.VmConfiguration, bytes).toString());
    }
    return FilterDataStatus.Continue;
  }

  onResponseBody(size: i32, endOfStream: bool): FilterDataStatus {
    if (this.op != "response") return FilterDataStatus.Continue;
    if (!endOfStream) return FilterDataStatus.StopIterationAndBuffer;
    buffer.replacePrefix(BufferType.HttpResponseBody, 0, Bytes.literal("<" + size.toString() + ">"));
    return FilterDataStatus.Continue;
  }
}

registerRoot("bodies", () => new Root());
