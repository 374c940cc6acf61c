/** The questions of the scenarios that ask them in request headers. */
import { addHeader, at, bufferSize, define, fill, foreign, GET, getBuffer, getHeader, getNumber, getProperty, httpCall, inPairs, pairs, removeHeader, replaceHeader, respond, result, say, setBuffer, utf8, word } from "./calls";
import { OUT, OUTSIDE, proxy_close_stream, proxy_continue_stream, proxy_define_metric, proxy_dequeue_shared_queue, proxy_done, proxy_enqueue_shared_queue, proxy_get_header_map_pairs, proxy_get_header_map_size, proxy_get_header_map_value, proxy_get_log_level, proxy_get_metric, proxy_get_property, proxy_get_shared_data, proxy_http_call, proxy_increment_metric, proxy_log, proxy_record_metric, proxy_register_shared_queue, proxy_resolve_shared_queue, proxy_send_local_response, proxy_set_effective_context, proxy_set_property, proxy_set_shared_data, SIZE, THIRD } from "./hostcalls";
import { state, Stream } from "./state";

/** What a scenario asks when the headers of its request are there. */
export function requestHeaders(stream: Stream, scenario: string, count: i32, end: i32): i32 {
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
    state.queueScenario = scenario;
    say(scenario, "register " + proxy_register_shared_queue(at(name), name.byteLength, OUT).toString());
    state.queueId = load<u32>(OUT);
    say(scenario, "register again " + proxy_register_shared_queue(at(name), name.byteLength, OUT).toString() + " same id " + (load<u32>(OUT) == state.queueId).toString());
    fill();
    say(scenario, "resolve " + proxy_resolve_shared_queue(0, 0, at(name), name.byteLength, OUT).toString() + " same id " + (load<u32>(OUT) == state.queueId).toString());
    fill();
    say(scenario, "resolve missing " + proxy_resolve_shared_queue(0, 0, at(missing), missing.byteLength, OUT).toString() + " out " + word(OUT));
    say(scenario, "dequeue empty " + proxy_dequeue_shared_queue(state.queueId, OUT, SIZE).toString() + " unknown " + proxy_dequeue_shared_queue(4000, OUT, SIZE).toString());
    say(scenario, "enqueue unknown " + proxy_enqueue_shared_queue(4000, at(data), data.byteLength).toString());
    say(scenario, "enqueue " + proxy_enqueue_shared_queue(state.queueId, at(data), data.byteLength).toString());
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
    state.waiting = stream.id;
    state.waitingScenario = scenario;
    say(scenario, "call " + httpCall(cluster, GET("/callout"), 200).toString());
    return 1;
  } else if (scenario == "reply-in-tick" || scenario == "flag-off") {
    state.waiting = stream.id;
    state.waitingScenario = scenario;
    return 1;
  } else if (scenario == "trap") {
    unreachable();
  } else if (scenario == "restricted") {
    state.restricted = true;
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
    state.waiting = stream.id;
    state.waitingScenario = scenario;
    return 4;
  } else if (scenario == "stop-out-of-range") {
    say(scenario, "call " + httpCall("a", GET("/callout"), 1000).toString());
    state.waiting = stream.id;
    state.waitingScenario = "callout";
    return 99;
  }
  return 0;
}
