import { Bytes, FilterDataStatus, FilterHeadersStatus, HttpContext, PairsWriter, registerRoot, RootContext, StreamContext, StreamType, stream, time } from "../../../filters/sdk";
import { note, op } from "./lib/say";

export * from "../../../filters/sdk/exports/lifecycle";
export { proxy_on_log, proxy_on_request_body, proxy_on_request_headers, proxy_on_response_headers } from "../../../filters/sdk/exports/http";
export { proxy_on_done, proxy_on_tick } from "../../../filters/sdk/exports/root";

const none = new PairsWriter();
const extra = new PairsWriter();
let paused: u32 = 0;
let action = "";

/** Answers of root contexts that finish late. */
class Root extends RootContext {
  late: bool = false;
  onConfigure(size: i32): bool {
    time.setTickPeriod(100);
    this.late = size == 4;
    return size != 6;
  }
  onDone(): bool {
    note("root done " + this.late.toString());
    return !this.late;
  }
  onDelete(): void {
    note("root delete");
  }
  onTick(): void {
    if (this.late && action == "finish") note("finish " + stream.done().toString());
    if (paused == 0) return;
    const id = paused;
    paused = 0;
    note("effective " + stream.setEffectiveContext(id).toString());
    if (action == "resume") note("resume " + stream.resume(StreamType.HttpRequest).toString());
    else stream.respond(418, Bytes.literal("from a tick"), Bytes.literal("tick"), none);
  }
  createStream(): StreamContext {
    return new Stream(this);
  }
}

class Stream extends HttpContext {
  op: string = "";
  onRequestHeaders(count: i32, endOfStream: bool): FilterHeadersStatus {
    this.op = op();
    if (this.op == "respond") {
      extra.reset().add(Bytes.literal("X-Extra"), Bytes.literal("1")).add(Bytes.literal("content-type"), Bytes.literal("application/json"));
      note("respond " + stream.respond(429, Bytes.literal("too many"), Bytes.literal("{}"), extra).toString());
      return FilterHeadersStatus.Continue;
    }
    if (this.op == "grpc") stream.respond(200, Bytes.literal("d"), Bytes.literal("no quota"), none, 8);
    if (this.op == "close") note("close " + stream.close(StreamType.HttpRequest).toString());
    if (this.op == "resume" || this.op == "tick") {
      paused = this.id;
      action = this.op;
    }
    if (this.op == "finish") action = "finish";
    if (this.op == "misuse") {
      note("effective " + stream.setEffectiveContext(4_000_000).toString());
      note("upstream " + stream.resume(StreamType.Upstream).toString() + " " + stream.close(changetype<StreamType>(77)).toString() + " " + stream.resume(changetype<StreamType>(77)).toString());
      note("done " + stream.done().toString());
      return FilterHeadersStatus.Continue;
    }
    return this.op == "" || this.op == "finish" ? FilterHeadersStatus.Continue : FilterHeadersStatus.StopIteration;
  }
  onRequestBody(size: i32, endOfStream: bool): FilterDataStatus {
    if (this.op == "trap") unreachable();
    if (this.op == "assert") assert(size < 0, "the body is not negative");
    if (this.op == "deep") note(deep(size).toString());
    return FilterDataStatus.Continue;
  }
  onResponseHeaders(count: i32, endOfStream: bool): FilterHeadersStatus {
    note("response headers");
    return FilterHeadersStatus.Continue;
  }
  onLog(): void {
    note("log");
  }
  onDone(): bool {
    note("done");
    return true;
  }
  onDelete(): void {
    note("delete");
  }
}

function deep(n: i32): i32 {
  return n > 0 ? deep(n + 1) + deep(n + 2) : 0;
}

registerRoot("control", () => new Root());
