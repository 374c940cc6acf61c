/**
 * The module behind the conformance scenarios: asks its host one question per request, named by the path `/t/<scenario>`,
 * and reports each answer as a log line `conformance|<scenario>|<fact>`. Raw imports on purpose: the SDK hides statuses.
 *
 * Host memory is taken from the heap and kept until the next callback, so that facts can be put together at leisure.
 */
import "../../../filters/sdk/abort";
import { addHeader, at, bufferSize, define, fill, getBuffer, getHeader, getNumber, getProperty, removeHeader, replaceHeader, respond, result, say, setBuffer, utf8, word } from "./lib/calls";
import { OUT, proxy_continue_stream, proxy_dequeue_shared_queue, proxy_get_buffer_bytes, proxy_get_header_map_size, proxy_get_status, proxy_increment_metric, proxy_log, proxy_set_effective_context, proxy_set_tick_period_milliseconds, SIZE, THIRD } from "./lib/hostcalls";
import { requestHeaders } from "./lib/request-headers";
import { state, Stream } from "./lib/state";

let blocks: usize[] = [];

export function proxy_abi_version_0_2_1(): void {}
export function proxy_on_memory_allocate(size: usize): usize {
  if (state.restricted) proxy_set_tick_period_milliseconds(0);
  const block = heap.alloc(size);
  blocks.push(block);
  return block;
}
function enter(): void {
  for (let index = 0; index < blocks.length; index++) heap.free(blocks[index]);
  blocks = [];
}

const streams = new Map<u32, Stream>();
const roots = new Map<u32, string>();
let ticks: i32 = 0;

function streamOf(id: u32): Stream {
  return streams.get(id);
}

{
  const line = utf8("conformance|root|initialize");
  proxy_log(3, at(line), line.byteLength);
}

export function proxy_on_context_create(id: u32, parent: u32): void {
  enter();
  if (parent == 0) {
    roots.set(id, "");
    say("root", "create root id " + getProperty("plugin_root_id") + " name " + getProperty("plugin_name") + " config " + bufferSize(7));
  } else streams.set(id, new Stream(id, parent));
}

export function proxy_on_vm_start(id: u32, size: i32): i32 {
  enter();
  say("root", "vm_start config " + getBuffer(6, 0, 100) + " plugin config " + bufferSize(7));
  return 1;
}

export function proxy_on_configure(id: u32, size: i32): i32 {
  enter();
  fill();
  proxy_get_buffer_bytes(7, 0, <u32>size, OUT, SIZE);
  const config = size > 0 ? result() : "";
  roots.set(id, config);
  say("root", "configure " + config + " size " + size.toString());
  if (config == "refuse") return 0;
  if (config == "ticks") {
    define(0, "conformance_ticking_vms");
    proxy_set_tick_period_milliseconds(20);
  }
  if (config == "guard") proxy_set_tick_period_milliseconds(20);
  return 1;
}

export function proxy_on_tick(id: u32): void {
  enter();
  const config = roots.get(id);
  if (config == "ticks") {
    ticks++;
    if (ticks == 1) {
      define(0, "conformance_ticking_vms");
      proxy_increment_metric(load<u32>(OUT), 1);
    }
    return;
  }
  if (state.waiting == 0) return;
  const scenario = state.waitingScenario;
  const guarded = state.waiting;
  if (scenario == "flag-off") {
    if (proxy_set_effective_context(guarded) != 0) return;
    const total = getNumber("request\0total_size");
    fill();
    const status = proxy_get_header_map_size(0, OUT);
    const headers: i64 = load<u32>(OUT);
    if (!total.startsWith("0 ")) return;
    // Until the body has arrived, try again at the next tick.
    if (I64.parseInt(total.substring(2)) != headers + 5) return;
    state.waiting = 0;
    say(scenario, "tick: header map size " + status.toString() + ", total_size = headers + 5");
    say(scenario, "tick: add " + addHeader(0, "x-late", "1").toString());
    say(scenario, "tick: continue " + proxy_continue_stream(0).toString());
    say(scenario, "tick: add after continue " + addHeader(0, "x-too-late", "1").toString());
  } else if (scenario == "reply-in-tick") {
    state.waiting = 0;
    proxy_set_effective_context(guarded);
    say(scenario, "tick: respond " + respond(418, "tick", []).toString());
  }
}

export function proxy_on_queue_ready(id: u32, queue: u32): void {
  enter();
  fill();
  const status = proxy_dequeue_shared_queue(queue, OUT, SIZE);
  say(state.queueScenario, "ready: same id " + (queue == state.queueId).toString() + ", dequeue " + status.toString() + " " + result());
  say(state.queueScenario, "ready: dequeue again " + proxy_dequeue_shared_queue(queue, OUT, SIZE).toString());
}

export function proxy_on_request_headers(id: u32, count: i32, end: i32): i32 {
  enter();
  const stream = streamOf(id);
  const path = getHeader(0, ":path");
  if (!path.startsWith("0 /t/")) return 0;
  const query = path.indexOf("?");
  stream.scenario = path.substring(5, query < 0 ? path.length : query);
  return requestHeaders(stream, stream.scenario, count, end);
}

export function proxy_on_request_body(id: u32, size: i32, end: i32): i32 {
  enter();
  const stream = streamOf(id);
  const scenario = stream.scenario;
  if (scenario == "") return 0;
  stream.chunks++;
  if (scenario == "watermark" || scenario == "overflow") return end == 0 ? (scenario == "overflow" ? 1 : 2) : 0;
  if (scenario == "hold-all") return end == 0 ? 1 : 0;
  // Two frames held, the rest passed on: what was held must not be lost.
  if (scenario == "hold-some") return stream.chunks <= 2 && end == 0 ? 1 : 0;
  if (scenario == "hold-late") return end == 0 && stream.chunks > 1 ? 1 : 0;
  if (scenario != "order") say(scenario, "request body " + size.toString() + " end " + end.toString());
  if (scenario == "buffered") {
    if (stream.chunks == 2) {
      say(scenario, "middle " + getBuffer(0, 4, 4) + ", behind the end " + getBuffer(0, 100, 4) + ", overlong " + getBuffer(0, 8, 100));
      say(scenario, "overflow " + getBuffer(0, 0xffffffff, 0xffffffff));
    }
    return end == 0 ? 1 : 0;
  }
  if (scenario == "streamed") {
    say(scenario, "late header " + addHeader(0, "x-late", "1").toString() + " read " + getHeader(0, "x-late"));
    return 0;
  }
  if (scenario == "rewrite") {
    if (end == 0) return 1;
    say(scenario, "middle " + setBuffer(0, 2, 1, "#").toString());
    say(scenario, "prefix " + setBuffer(0, 0, 2, "AB").toString());
    say(scenario, "prepend " + setBuffer(0, 0, 0, "<<").toString());
    say(scenario, "append at the end " + setBuffer(0, 8, 0, ">").toString());
    say(scenario, "append far behind " + setBuffer(0, 5000, 7, ">").toString());
    say(scenario, "content " + getBuffer(0, 0, 100));
    replaceHeader(0, "content-length", "10");
    return 0;
  }
  if (scenario == "route-in-body") {
    if (end == 0) return 1;
    say(scenario, "pick " + replaceHeader(0, "x-pick", "b").toString());
    return 0;
  }
  if (scenario == "trailers") return 1;
  if (scenario == "late-write") {
    say(scenario, "write " + addHeader(0, "x-" + stream.chunks.toString(), "1").toString() + " read " + getHeader(0, "x-" + stream.chunks.toString()));
    return 0;
  }
  if (scenario == "reply-in-body") {
    if (stream.chunks == 1) say(scenario, "respond " + respond(403, "no", []).toString());
    return 1;
  }
  if (scenario == "dropped") return end == 0 ? 3 : 0;
  return 0;
}

export function proxy_on_request_trailers(id: u32, count: i32): i32 {
  enter();
  const stream = streamOf(id);
  if (stream.scenario != "trailers") return 0;
  say(stream.scenario, "trailers " + count.toString() + " " + getHeader(1, "x-trailer") + ", held body " + getBuffer(0, 0, 100));
  say(stream.scenario, "header " + addHeader(0, "x-late", "1").toString() + " trailer " + addHeader(1, "x-more", "1").toString());
  return 0;
}

export function proxy_on_response_headers(id: u32, count: i32, end: i32): i32 {
  enter();
  const stream = streamOf(id);
  const scenario = stream.scenario;
  if (scenario == "order" || scenario.startsWith("local-reply") || scenario.startsWith("reply-in") || scenario == "overflow") {
    say(scenario, "response headers " + getHeader(2, ":status") + " end " + end.toString());
  }
  if (scenario == "local-reply") say(scenario, "response.code " + getNumber("response\0code") + " details " + getProperty("response\0code_details"));
  if (scenario == "order") {
    say(scenario, "response.code " + getNumber("response\0code") + ", write " + addHeader(2, "x-probe", "1").toString() + ", request header " + getHeader(0, ":path"));
  }
  if (scenario == "local-reply-in-response") {
    say(scenario, "respond " + respond(502, "instead", []).toString());
    return 1;
  }
  if (scenario == "response-buffered") return 1;
  return 0;
}

export function proxy_on_response_body(id: u32, size: i32, end: i32): i32 {
  enter();
  const stream = streamOf(id);
  const scenario = stream.scenario;
  if (scenario.startsWith("local-reply") || scenario.startsWith("reply-in") || scenario == "overflow") say(scenario, "response body " + size.toString() + " end " + end.toString());
  if (scenario == "order" && end != 0) say(scenario, "response end, response.code " + getNumber("response\0code") + ", write " + addHeader(2, "x-late", "1").toString());
  if (scenario == "reply-in-response-body" && end == 0) say(scenario, "respond " + respond(500, "too late", []).toString());
  if (scenario == "response-buffered") {
    if (end == 0) return 1;
    say(scenario, "content " + getBuffer(1, 0, 100));
    say(scenario, "replace " + setBuffer(1, 0, 1000, "rewritten").toString() + " length " + removeHeader(2, "content-length").toString());
  }
  return 0;
}

export function proxy_on_http_call_response(id: u32, token: u32, count: i32, size: i32, trailers: i32): void {
  enter();
  const scenario = state.waitingScenario;
  const body = getBuffer(4, 0, 1000);
  fill();
  const status = proxy_get_status(THIRD, OUT, SIZE);
  say(scenario, "answer headers " + (count > 0).toString() + " status " + getHeader(6, ":status") + " body " + (scenario == "callout" ? body : "not shown") + " trailers " + trailers.toString());
  if (count == 0) say(scenario, "failure " + status.toString() + " " + word(THIRD));
  say(scenario, "before effective " + getHeader(0, ":method"));
  say(scenario, "effective " + proxy_set_effective_context(state.waiting).toString() + " " + getHeader(0, ":method"));
  addHeader(0, "x-callout", "done");
  say(scenario, "continue " + proxy_continue_stream(0).toString());
  state.waiting = 0;
}

export function proxy_on_log(id: u32): void {
  enter();
  const stream = streamOf(id);
  const scenario = stream.scenario;
  if (scenario == "") return;
  say(scenario, "log");
  if (scenario == "order") {
    say(scenario, "log request " + getHeader(0, ":method") + " response " + getHeader(2, ":status") + " missing trailers " + getHeader(3, "x"));
    say(scenario, "log write " + addHeader(0, "x", "y").toString() + addHeader(2, "x", "y").toString());
    say(scenario, "log response.code " + getNumber("response\0code") + " details " + getProperty("response\0code_details"));
  }
}

export function proxy_on_done(id: u32): i32 {
  enter();
  if (streams.has(id)) {
    if (streamOf(id).scenario != "") say(streamOf(id).scenario, "done");
  } else say("root", "done " + roots.get(id));
  return 1;
}

export function proxy_on_delete(id: u32): void {
  enter();
  if (streams.has(id)) {
    if (streamOf(id).scenario != "") say(streamOf(id).scenario, "delete");
    streams.delete(id);
  } else {
    say("root", "delete " + roots.get(id));
    roots.delete(id);
  }
}
