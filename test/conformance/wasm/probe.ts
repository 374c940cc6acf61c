/**
 * The module behind the conformance scenarios: asks its host one question per request, named by the path `/t/<scenario>`,
 * and reports each answer as a log line `conformance|<scenario>|<fact>`. Raw imports on purpose: the SDK hides statuses.
 *
 * Host memory is taken from the heap and kept until the next callback, so that facts can be put together at leisure.
 */
import "../../../filters/sdk/abort";

@external("env", "proxy_log") declare function proxy_log(level: i32, text: usize, size: usize): i32;
@external("env", "proxy_get_log_level") declare function proxy_get_log_level(level: usize): i32;
@external("env", "proxy_get_header_map_value") declare function proxy_get_header_map_value(map: i32, key: usize, keySize: usize, out: usize, size: usize): i32;
@external("env", "proxy_get_header_map_pairs") declare function proxy_get_header_map_pairs(map: i32, out: usize, size: usize): i32;
@external("env", "proxy_get_header_map_size") declare function proxy_get_header_map_size(map: i32, size: usize): i32;
@external("env", "proxy_add_header_map_value") declare function proxy_add_header_map_value(map: i32, key: usize, keySize: usize, value: usize, valueSize: usize): i32;
@external("env", "proxy_replace_header_map_value") declare function proxy_replace_header_map_value(map: i32, key: usize, keySize: usize, value: usize, valueSize: usize): i32;
@external("env", "proxy_remove_header_map_value") declare function proxy_remove_header_map_value(map: i32, key: usize, keySize: usize): i32;
@external("env", "proxy_get_buffer_bytes") declare function proxy_get_buffer_bytes(buffer: i32, start: u32, max: u32, out: usize, size: usize): i32;
@external("env", "proxy_get_buffer_status") declare function proxy_get_buffer_status(buffer: i32, size: usize, flags: usize): i32;
@external("env", "proxy_set_buffer_bytes") declare function proxy_set_buffer_bytes(buffer: i32, start: u32, size: u32, data: usize, dataSize: usize): i32;
@external("env", "proxy_continue_stream") declare function proxy_continue_stream(stream: i32): i32;
@external("env", "proxy_close_stream") declare function proxy_close_stream(stream: i32): i32;
@external("env", "proxy_send_local_response") declare function proxy_send_local_response(code: i32, details: usize, detailsSize: usize, body: usize, bodySize: usize, headers: usize, headersSize: usize, grpc: i32): i32;
@external("env", "proxy_set_effective_context") declare function proxy_set_effective_context(context: u32): i32;
@external("env", "proxy_set_tick_period_milliseconds") declare function proxy_set_tick_period_milliseconds(period: u32): i32;
@external("env", "proxy_define_metric") declare function proxy_define_metric(type: i32, name: usize, nameSize: usize, id: usize): i32;
@external("env", "proxy_increment_metric") declare function proxy_increment_metric(id: u32, delta: i64): i32;
@external("env", "proxy_record_metric") declare function proxy_record_metric(id: u32, value: u64): i32;
@external("env", "proxy_get_metric") declare function proxy_get_metric(id: u32, value: usize): i32;
@external("env", "proxy_get_property") declare function proxy_get_property(path: usize, pathSize: usize, out: usize, size: usize): i32;
@external("env", "proxy_set_property") declare function proxy_set_property(path: usize, pathSize: usize, value: usize, valueSize: usize): i32;
@external("env", "proxy_get_shared_data") declare function proxy_get_shared_data(key: usize, keySize: usize, out: usize, size: usize, cas: usize): i32;
@external("env", "proxy_set_shared_data") declare function proxy_set_shared_data(key: usize, keySize: usize, value: usize, valueSize: usize, cas: u32): i32;
@external("env", "proxy_register_shared_queue") declare function proxy_register_shared_queue(name: usize, nameSize: usize, id: usize): i32;
@external("env", "proxy_resolve_shared_queue") declare function proxy_resolve_shared_queue(vm: usize, vmSize: usize, name: usize, nameSize: usize, id: usize): i32;
@external("env", "proxy_enqueue_shared_queue") declare function proxy_enqueue_shared_queue(id: u32, data: usize, size: usize): i32;
@external("env", "proxy_dequeue_shared_queue") declare function proxy_dequeue_shared_queue(id: u32, out: usize, size: usize): i32;
@external("env", "proxy_call_foreign_function") declare function proxy_call_foreign_function(name: usize, nameSize: usize, args: usize, argsSize: usize, out: usize, size: usize): i32;
@external("env", "proxy_http_call") declare function proxy_http_call(cluster: usize, clusterSize: usize, headers: usize, headersSize: usize, body: usize, bodySize: usize, trailers: usize, trailersSize: usize, timeout: i32, id: usize): i32;
@external("env", "proxy_get_status") declare function proxy_get_status(code: usize, out: usize, size: usize): i32;
@external("env", "proxy_done") declare function proxy_done(): i32;

const OUT: usize = memory.data(64, 16);
const SIZE: usize = OUT + 8;
const THIRD: usize = OUT + 16;
/** Written to out parameters before a call: still there afterwards means the host did not touch them. */
const UNTOUCHED: u32 = 0xabababab;
const OUTSIDE: usize = 0xfffffff0;

let blocks: usize[] = [];
let restricted = false;

export function proxy_abi_version_0_2_1(): void {}
export function proxy_on_memory_allocate(size: usize): usize {
  if (restricted) proxy_set_tick_period_milliseconds(0);
  const block = heap.alloc(size);
  blocks.push(block);
  return block;
}
function enter(): void {
  for (let index = 0; index < blocks.length; index++) heap.free(blocks[index]);
  blocks = [];
}

// Text in and out.

function utf8(text: string): ArrayBuffer {
  return String.UTF8.encode(text);
}
@inline function at(bytes: ArrayBuffer): usize {
  return changetype<usize>(bytes);
}
function say(scenario: string, fact: string): void {
  const line = utf8("conformance|" + scenario + "|" + fact);
  proxy_log(3, at(line), line.byteLength);
}
function fill(): void {
  store<u32>(OUT, UNTOUCHED);
  store<u32>(SIZE, UNTOUCHED);
  store<u32>(THIRD, UNTOUCHED);
}
function result(): string {
  const size = load<u32>(SIZE);
  if (size == UNTOUCHED) return "untouched";
  return String.UTF8.decodeUnsafe(load<u32>(OUT), size);
}
function word(address: usize): string {
  const value = load<u32>(address);
  return value == UNTOUCHED ? "untouched" : value.toString();
}

// One wrapper per call: the status as a number, then what came out.

function getHeader(map: i32, name: string): string {
  fill();
  const key = utf8(name);
  const status = proxy_get_header_map_value(map, at(key), key.byteLength, OUT, SIZE);
  return status.toString() + " " + result();
}
function addHeader(map: i32, name: string, value: string): i32 {
  const key = utf8(name);
  const bytes = utf8(value);
  return proxy_add_header_map_value(map, at(key), key.byteLength, at(bytes), bytes.byteLength);
}
function replaceHeader(map: i32, name: string, value: string): i32 {
  const key = utf8(name);
  const bytes = utf8(value);
  return proxy_replace_header_map_value(map, at(key), key.byteLength, at(bytes), bytes.byteLength);
}
function removeHeader(map: i32, name: string): i32 {
  const key = utf8(name);
  return proxy_remove_header_map_value(map, at(key), key.byteLength);
}
/** Values of one name in the serialised pairs, joined with "+". */
function inPairs(map: i32, name: string): string {
  fill();
  const status = proxy_get_header_map_pairs(map, OUT, SIZE);
  if (status != 0 || load<u32>(SIZE) == 0) return status.toString() + " size " + word(SIZE);
  const base: usize = load<u32>(OUT);
  const count = load<u32>(base);
  let text = base + 4 + 8 * count;
  let values = "";
  for (let index: u32 = 0; index < count; index++) {
    const keySize = load<u32>(base + 4 + 8 * index);
    const valueSize = load<u32>(base + 8 + 8 * index);
    const key = String.UTF8.decodeUnsafe(text, keySize);
    text += keySize + 1;
    if (key == name) values += "+" + String.UTF8.decodeUnsafe(text, valueSize);
    text += valueSize + 1;
  }
  return status.toString() + " " + values;
}
function getProperty(path: string): string {
  fill();
  const bytes = utf8(path);
  const status = proxy_get_property(at(bytes), bytes.byteLength, OUT, SIZE);
  return status.toString() + " " + result();
}
function getNumber(path: string): string {
  fill();
  const bytes = utf8(path);
  const status = proxy_get_property(at(bytes), bytes.byteLength, OUT, SIZE);
  if (status != 0 || load<u32>(SIZE) != 8) return status.toString() + " size " + word(SIZE);
  return status.toString() + " " + load<i64>(load<u32>(OUT)).toString();
}
function getBuffer(type: i32, start: u32, max: u32): string {
  fill();
  const status = proxy_get_buffer_bytes(type, start, max, OUT, SIZE);
  return status.toString() + " " + result();
}
function bufferSize(type: i32): string {
  fill();
  const status = proxy_get_buffer_status(type, OUT, SIZE);
  return status.toString() + " " + word(OUT);
}
function setBuffer(type: i32, start: u32, size: u32, text: string): i32 {
  const bytes = utf8(text);
  return proxy_set_buffer_bytes(type, start, size, at(bytes), bytes.byteLength);
}
function define(type: i32, name: string): i32 {
  const bytes = utf8(name);
  store<u32>(OUT, 0);
  return proxy_define_metric(type, at(bytes), bytes.byteLength, OUT);
}
function foreign(name: string, args: string): string {
  fill();
  const key = utf8(name);
  const bytes = utf8(args);
  const status = proxy_call_foreign_function(at(key), key.byteLength, at(bytes), bytes.byteLength, OUT, SIZE);
  return status.toString() + " size " + word(SIZE);
}
function pairs(list: string[]): ArrayBuffer {
  let size = 4;
  const parts: ArrayBuffer[] = [];
  for (let index = 0; index < list.length; index++) {
    parts.push(utf8(list[index]));
    size += 5 + parts[index].byteLength;
  }
  const bytes = new ArrayBuffer(size);
  store<u32>(at(bytes), list.length / 2);
  let text = at(bytes) + 4 + 4 * list.length;
  for (let index = 0; index < parts.length; index++) {
    store<u32>(at(bytes) + 4 + 4 * index, parts[index].byteLength);
    memory.copy(text, at(parts[index]), parts[index].byteLength);
    text += parts[index].byteLength + 1;
  }
  return bytes;
}
function respond(code: i32, text: string, headers: string[]): i32 {
  const details = utf8("probe says so");
  const body = utf8(text);
  const extra = pairs(headers);
  return proxy_send_local_response(code, at(details), details.byteLength, at(body), body.byteLength, at(extra), headers.length > 0 ? extra.byteLength : 0, -1);
}
function httpCall(cluster: string, list: string[], timeout: i32): i32 {
  const name = utf8(cluster);
  const headers = pairs(list);
  fill();
  return proxy_http_call(at(name), name.byteLength, at(headers), headers.byteLength, 0, 0, 0, 0, timeout, OUT);
}
const GET = (path: string): string[] => [":method", "GET", ":path", path, ":authority", "callout"];

// Contexts.

class Stream {
  constructor(public id: u32, public root: u32) {}
  scenario: string = "";
  chunks: i32 = 0;
}

const streams = new Map<u32, Stream>();
const roots = new Map<u32, string>();
/** Stream that a tick or a callout answer is about; one at a time is enough for a scenario. */
let waiting: u32 = 0;
let waitingScenario: string = "";
let ticks: i32 = 0;
let queueId: u32 = 0;
let queueScenario: string = "";

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
  if (waiting == 0) return;
  const scenario = waitingScenario;
  const guarded = waiting;
  if (scenario == "flag-off") {
    if (proxy_set_effective_context(guarded) != 0) return;
    const total = getNumber("request\0total_size");
    fill();
    const status = proxy_get_header_map_size(0, OUT);
    const headers: i64 = load<u32>(OUT);
    if (!total.startsWith("0 ")) return;
    // Until the body has arrived, try again at the next tick.
    if (I64.parseInt(total.substring(2)) != headers + 5) return;
    waiting = 0;
    say(scenario, "tick: header map size " + status.toString() + ", total_size = headers + 5");
    say(scenario, "tick: add " + addHeader(0, "x-late", "1").toString());
    say(scenario, "tick: continue " + proxy_continue_stream(0).toString());
    say(scenario, "tick: add after continue " + addHeader(0, "x-too-late", "1").toString());
  } else if (scenario == "reply-in-tick") {
    waiting = 0;
    proxy_set_effective_context(guarded);
    say(scenario, "tick: respond " + respond(418, "tick", []).toString());
  }
}

export function proxy_on_queue_ready(id: u32, queue: u32): void {
  enter();
  fill();
  const status = proxy_dequeue_shared_queue(queue, OUT, SIZE);
  say(queueScenario, "ready: same id " + (queue == queueId).toString() + ", dequeue " + status.toString() + " " + result());
  say(queueScenario, "ready: dequeue again " + proxy_dequeue_shared_queue(queue, OUT, SIZE).toString());
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

function requestHeaders(stream: Stream, scenario: string, count: i32, end: i32): i32 {
  if (scenario == "first-value") {
    say(scenario, "value " + getHeader(0, "x-dup"));
    say(scenario, "pairs " + inPairs(0, "x-dup"));
    say(scenario, "case " + getHeader(0, "X-DUP"));
  } else if (scenario == "empty-header") {
    fill();
    const key = utf8("x-empty");
    const status = proxy_get_header_map_value(0, at(key), key.byteLength, OUT, SIZE);
    say(scenario, "status " + status.toString() + " pointer " + word(OUT) + " size " + word(SIZE));
    say(scenario, "missing " + getHeader(0, "x-missing"));
  } else if (scenario == "unavailable-map") {
    for (let map = 1; map <= 8; map++) {
      fill();
      const pairsStatus = proxy_get_header_map_pairs(map, OUT, SIZE);
      const shown = pairsStatus.toString() + " " + word(SIZE);
      fill();
      const sizeStatus = proxy_get_header_map_size(map, OUT);
      say(scenario, map.toString() + ": value " + getHeader(map, "x") + ", pairs " + shown + ", size " + sizeStatus.toString() + ", add " + addHeader(map, "x", "y").toString());
    }
  } else if (scenario == "header-writes") {
    say(scenario, "add " + addHeader(0, "X-Added", "1").toString() + addHeader(0, "x-added", "2").toString());
    say(scenario, "added " + inPairs(0, "x-added"));
    say(scenario, "replace " + replaceHeader(0, "x-dup", "new").toString() + " " + inPairs(0, "x-dup"));
    say(scenario, "remove missing " + removeHeader(0, "x-missing").toString());
    say(scenario, "remove repeated " + removeHeader(0, "x-twice").toString() + " " + inPairs(0, "x-twice"));
    say(scenario, "add to a slot " + addHeader(0, "user-agent", "more").toString() + " " + inPairs(0, "user-agent"));
    const size = proxy_get_header_map_size(0, OUT);
    const before = load<u32>(OUT);
    addHeader(0, "x-four", "5");
    proxy_get_header_map_size(0, OUT);
    say(scenario, "size " + size.toString() + " grows by " + (load<u32>(OUT) - before).toString());
  } else if (scenario == "out-of-bounds") {
    say(scenario, "log " + proxy_log(2, OUTSIDE, 100).toString());
    say(scenario, "log level 9 " + proxy_log(9, OUT, 1).toString());
    say(scenario, "header key " + proxy_get_header_map_value(0, OUTSIDE, 100, OUT, SIZE).toString());
    const key = utf8(":path");
    say(scenario, "header out " + proxy_get_header_map_value(0, at(key), key.byteLength, OUTSIDE, SIZE).toString());
    say(scenario, "property " + proxy_get_property(OUTSIDE, 100, OUT, SIZE).toString());
    say(scenario, "shared " + proxy_set_shared_data(OUTSIDE, 100, OUT, 1, 0).toString());
    say(scenario, "reply " + proxy_send_local_response(200, OUTSIDE, 100, 0, 0, 0, 0, -1).toString());
    say(scenario, "metric " + proxy_define_metric(0, OUTSIDE, 100, OUT).toString());
    say(scenario, "effective " + proxy_set_effective_context(99999).toString());
    say(scenario, "continue " + proxy_continue_stream(9).toString() + " close " + proxy_close_stream(9).toString());
    say(scenario, "done " + proxy_done().toString());
  } else if (scenario == "buffers-in-headers") {
    for (let type = 0; type <= 9; type++) say(scenario, type.toString() + ": bytes " + getBuffer(type, 0, 10) + ", status " + bufferSize(type) + ", set " + setBuffer(type, 0, 0, "x").toString());
  } else if (scenario == "metrics") {
    say(scenario, "define " + define(0, "conformance_counter").toString());
    const counter = load<u32>(OUT);
    say(scenario, "again " + define(0, "conformance_counter").toString() + " same id " + (load<u32>(OUT) == counter).toString());
    const twin = load<u32>(OUT);
    say(scenario, "increment " + proxy_increment_metric(counter, 2).toString() + proxy_increment_metric(twin, 3).toString());
    say(scenario, "increment 0 " + proxy_increment_metric(counter, 0).toString() + " -1 " + proxy_increment_metric(counter, -1).toString());
    proxy_get_metric(counter, OUT);
    say(scenario, "value " + load<u64>(OUT).toString());
    say(scenario, "record " + proxy_record_metric(counter, 5).toString());
    proxy_get_metric(counter, OUT);
    say(scenario, "value " + load<u64>(OUT).toString());
    define(1, "conformance_gauge");
    const gauge = load<u32>(OUT);
    say(scenario, "gauge " + proxy_record_metric(gauge, 7).toString() + proxy_increment_metric(gauge, -3).toString() + proxy_increment_metric(gauge, 0).toString());
    proxy_get_metric(gauge, OUT);
    say(scenario, "value " + load<u64>(OUT).toString());
    define(2, "conformance_histogram");
    const histogram = load<u32>(OUT);
    say(scenario, "histogram record " + proxy_record_metric(histogram, 7).toString() + " increment " + proxy_increment_metric(histogram, 1).toString() + " get " + proxy_get_metric(histogram, OUT).toString());
    say(scenario, "unknown " + proxy_increment_metric(4000, 1).toString() + proxy_record_metric(4000, 1).toString() + proxy_get_metric(4000, OUT).toString() + " type 3 " + define(3, "x").toString());
  } else if (scenario == "properties") {
    say(scenario, "request.path " + getProperty("request\0path"));
    say(scenario, "request.url_path " + getProperty("request\0url_path"));
    say(scenario, "request.method " + getProperty("request\0method"));
    say(scenario, "request.headers " + getProperty("request\0headers\0x-one"));
    say(scenario, "request.headers repeated " + getProperty("request\0headers\0x-dup"));
    say(scenario, "trailing separator " + getProperty("request\0method\0"));
    say(scenario, "request.size " + getNumber("request\0size"));
    say(scenario, "request.query " + getProperty("request\0query") + " host " + getProperty("request\0host") + " scheme " + getProperty("request\0scheme") + " protocol " + getProperty("request\0protocol") + " useragent " + getProperty("request\0useragent"));
    say(scenario, "request.duration " + getProperty("request\0duration") + " request.time " + getNumber("request\0time").startsWith("0 17").toString());
    say(scenario, "connection.mtls size " + getProperty("connection\0mtls").length.toString() + " upstream.address " + getProperty("upstream\0address"));
    const source = getProperty("source\0address");
    say(scenario, "source.address has port " + (source.startsWith("0 127.0.0.1:")).toString());
    say(scenario, "connection_id size " + getNumber("connection_id").startsWith("0 ").toString());
    say(scenario, "plugin_name " + getProperty("plugin_name") + " root " + getProperty("plugin_root_id") + " vm " + getProperty("plugin_vm_id"));
    say(scenario, "node.id " + getProperty("node\0id") + " xds.node.id " + getProperty("xds\0node\0id"));
    say(scenario, "listener_direction " + getProperty("listener_direction"));
    say(scenario, "response.code " + getProperty("response\0code"));
    say(scenario, "unknown " + getProperty("no_such_thing"));
    say(scenario, "empty path " + getProperty(""));
    const key = utf8("conf.a");
    const deep = utf8("conf\0b");
    const value = utf8("kept");
    say(scenario, "set " + proxy_set_property(at(key), key.byteLength, at(value), value.byteLength).toString() + " get " + getProperty("conf.a"));
    say(scenario, "set deep " + proxy_set_property(at(deep), deep.byteLength, at(value), value.byteLength).toString() + " get " + getProperty("conf\0b"));
  } else if (scenario == "shared-data") {
    const key = utf8("conf-key");
    const value = utf8("one");
    fill();
    say(scenario, "missing " + proxy_get_shared_data(at(key), key.byteLength, OUT, SIZE, THIRD).toString() + " out " + word(SIZE));
    say(scenario, "insert with cas 77 " + proxy_set_shared_data(at(key), key.byteLength, at(value), value.byteLength, 77).toString());
    say(scenario, "get " + proxy_get_shared_data(at(key), key.byteLength, OUT, SIZE, THIRD).toString() + " " + result());
    const cas = load<u32>(THIRD);
    say(scenario, "wrong cas " + proxy_set_shared_data(at(key), key.byteLength, at(value), value.byteLength, cas + 1).toString());
    say(scenario, "right cas " + proxy_set_shared_data(at(key), key.byteLength, at(value), value.byteLength, cas).toString());
    say(scenario, "stale cas " + proxy_set_shared_data(at(key), key.byteLength, at(value), value.byteLength, cas).toString());
    say(scenario, "cas 0 " + proxy_set_shared_data(at(key), key.byteLength, at(value), 0, 0).toString());
    fill();
    say(scenario, "empty " + proxy_get_shared_data(at(key), key.byteLength, OUT, SIZE, THIRD).toString() + " pointer " + word(OUT) + " size " + word(SIZE));
  } else if (scenario == "queue") {
    const name = utf8("conf-queue");
    const missing = utf8("conf-none");
    const data = utf8("item");
    queueScenario = scenario;
    say(scenario, "register " + proxy_register_shared_queue(at(name), name.byteLength, OUT).toString());
    queueId = load<u32>(OUT);
    say(scenario, "register again " + proxy_register_shared_queue(at(name), name.byteLength, OUT).toString() + " same id " + (load<u32>(OUT) == queueId).toString());
    fill();
    say(scenario, "resolve " + proxy_resolve_shared_queue(0, 0, at(name), name.byteLength, OUT).toString() + " same id " + (load<u32>(OUT) == queueId).toString());
    fill();
    say(scenario, "resolve missing " + proxy_resolve_shared_queue(0, 0, at(missing), missing.byteLength, OUT).toString() + " out " + word(OUT));
    say(scenario, "dequeue empty " + proxy_dequeue_shared_queue(queueId, OUT, SIZE).toString() + " unknown " + proxy_dequeue_shared_queue(4000, OUT, SIZE).toString());
    say(scenario, "enqueue unknown " + proxy_enqueue_shared_queue(4000, at(data), data.byteLength).toString());
    say(scenario, "enqueue " + proxy_enqueue_shared_queue(queueId, at(data), data.byteLength).toString());
  } else if (scenario == "foreign") {
    say(scenario, "unknown " + foreign("no_such_function", "x"));
    say(scenario, "clear_route_cache " + foreign("clear_route_cache", ""));
    say(scenario, "compress " + foreign("compress", "").substring(0, 2));
    say(scenario, "uncompress garbage " + foreign("uncompress", "not compressed").substring(0, 2));
    say(scenario, "set_envoy_filter_state garbage " + foreign("set_envoy_filter_state", "\xff"));
    say(scenario, "declare_property garbage " + foreign("declare_property", "\xff"));
    say(scenario, "verify_signature garbage " + foreign("verify_signature", "\xff"));
    say(scenario, "expr_create garbage " + foreign("expr_create", "((("));
    say(scenario, "expr_evaluate garbage " + foreign("expr_evaluate", "x"));
    say(scenario, "expr_delete garbage " + foreign("expr_delete", "x"));
  } else if (scenario == "foreign-sign") {
    say(scenario, "sign garbage " + foreign("sign", "\xff"));
  } else if (scenario == "log-level") {
    say(scenario, "status " + proxy_get_log_level(OUT).toString() + " level " + load<u32>(OUT).toString());
  } else if (scenario == "route") {
    say(scenario, "pick " + replaceHeader(0, "x-pick", "b").toString());
  } else if (scenario == "local-reply" || scenario == "local-reply-no-body" || scenario == "local-reply-pass") {
    say(scenario, "respond " + respond(429, scenario == "local-reply-no-body" ? "" : "slow down", ["x-probe", "yes", "content-type", "application/json"]).toString());
    // Whatever is returned, the iteration has stopped.
    return scenario == "local-reply-pass" ? 0 : 1;
  } else if (scenario == "malformed-pairs") {
    const broken = utf8("\x01\0\0\0\xff\xff\xff\x7f\x01\0\0\0");
    const body = utf8("no headers");
    say(scenario, "respond " + proxy_send_local_response(200, 0, 0, at(body), body.byteLength, at(broken), broken.byteLength, -1).toString());
    return 1;
  } else if (scenario == "pairs-tail" || scenario == "pairs-unterminated" || scenario == "pairs-too-many") {
    const list: string[] = [];
    for (let index = 0; index < (scenario == "pairs-too-many" ? 1025 : 1); index++) list.push("x-probe"), list.push("1");
    const good = pairs(list);
    const bytes = new ArrayBuffer(good.byteLength + 1);
    memory.copy(at(bytes), at(good), good.byteLength);
    if (scenario == "pairs-unterminated") store<u8>(at(bytes) + good.byteLength - 1, 0x21);
    const size = good.byteLength + (scenario == "pairs-tail" ? 1 : 0);
    say(scenario, "respond " + proxy_send_local_response(200, 0, 0, 0, 0, at(bytes), size, -1).toString());
    return 1;
  } else if (scenario == "callout-errors") {
    say(scenario, "unknown cluster " + httpCall("no-such-cluster", GET("/"), 1000).toString() + " token " + word(OUT));
    say(scenario, "no path " + httpCall("a", [":method", "GET", ":authority", "x"], 1000).toString() + " token " + word(OUT));
    say(scenario, "negative timeout " + httpCall("a", GET("/"), -1).toString());
    const name = utf8("a");
    const broken = utf8("\x09\0\0\0");
    say(scenario, "malformed pairs " + proxy_http_call(at(name), 1, at(broken), broken.byteLength, 0, 0, 0, 0, 1000, OUT).toString());
  } else if (scenario == "callout" || scenario == "callout-refused" || scenario == "callout-timeout") {
    const cluster = scenario == "callout" ? "a" : scenario == "callout-refused" ? "dead" : "slow";
    waiting = stream.id;
    waitingScenario = scenario;
    say(scenario, "call " + httpCall(cluster, GET("/callout"), 200).toString());
    return 1;
  } else if (scenario == "reply-in-tick" || scenario == "flag-off") {
    waiting = stream.id;
    waitingScenario = scenario;
    return 1;
  } else if (scenario == "trap") {
    unreachable();
  } else if (scenario == "restricted") {
    restricted = true;
    const path = getHeader(0, ":path");
    say(scenario, "runs on with " + path);
  } else if (scenario == "order" || scenario == "abort") {
    say(scenario, "request headers end " + end.toString());
    return scenario == "abort" ? 1 : 0;
  } else if (scenario == "close") {
    say(scenario, "close " + proxy_close_stream(0).toString());
    return 1;
  } else if (scenario == "buffered" || scenario == "rewrite" || scenario == "dropped" || scenario == "route-in-body" || scenario == "reply-in-body" || scenario == "overflow" || scenario == "watermark" || scenario.startsWith("hold") || scenario == "late-write" || scenario == "trailers") {
    return 1;
  } else if (scenario == "stop-all") {
    waiting = stream.id;
    waitingScenario = scenario;
    return 4;
  } else if (scenario == "stop-out-of-range") {
    say(scenario, "call " + httpCall("a", GET("/callout"), 1000).toString());
    waiting = stream.id;
    waitingScenario = "callout";
    return 99;
  }
  return 0;
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
  const scenario = waitingScenario;
  const body = getBuffer(4, 0, 1000);
  fill();
  const status = proxy_get_status(THIRD, OUT, SIZE);
  say(scenario, "answer headers " + (count > 0).toString() + " status " + getHeader(6, ":status") + " body " + (scenario == "callout" ? body : "not shown") + " trailers " + trailers.toString());
  if (count == 0) say(scenario, "failure " + status.toString() + " " + word(THIRD));
  say(scenario, "before effective " + getHeader(0, ":method"));
  say(scenario, "effective " + proxy_set_effective_context(waiting).toString() + " " + getHeader(0, ":method"));
  addHeader(0, "x-callout", "done");
  say(scenario, "continue " + proxy_continue_stream(0).toString());
  waiting = 0;
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
