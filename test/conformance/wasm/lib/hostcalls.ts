/** The imports of the host as they are, and where they write. */

@external("env", "proxy_log") export declare function proxy_log(level: i32, text: usize, size: usize): i32;
@external("env", "proxy_get_log_level") export declare function proxy_get_log_level(level: usize): i32;
@external("env", "proxy_get_header_map_value") export declare function proxy_get_header_map_value(map: i32, key: usize, keySize: usize, out: usize, size: usize): i32;
@external("env", "proxy_get_header_map_pairs") export declare function proxy_get_header_map_pairs(map: i32, out: usize, size: usize): i32;
@external("env", "proxy_get_header_map_size") export declare function proxy_get_header_map_size(map: i32, size: usize): i32;
@external("env", "proxy_add_header_map_value") export declare function proxy_add_header_map_value(map: i32, key: usize, keySize: usize, value: usize, valueSize: usize): i32;
@external("env", "proxy_replace_header_map_value") export declare function proxy_replace_header_map_value(map: i32, key: usize, keySize: usize, value: usize, valueSize: usize): i32;
@external("env", "proxy_remove_header_map_value") export declare function proxy_remove_header_map_value(map: i32, key: usize, keySize: usize): i32;
@external("env", "proxy_get_buffer_bytes") export declare function proxy_get_buffer_bytes(buffer: i32, start: u32, max: u32, out: usize, size: usize): i32;
@external("env", "proxy_get_buffer_status") export declare function proxy_get_buffer_status(buffer: i32, size: usize, flags: usize): i32;
@external("env", "proxy_set_buffer_bytes") export declare function proxy_set_buffer_bytes(buffer: i32, start: u32, size: u32, data: usize, dataSize: usize): i32;
@external("env", "proxy_continue_stream") export declare function proxy_continue_stream(stream: i32): i32;
@external("env", "proxy_close_stream") export declare function proxy_close_stream(stream: i32): i32;
@external("env", "proxy_send_local_response") export declare function proxy_send_local_response(code: i32, details: usize, detailsSize: usize, body: usize, bodySize: usize, headers: usize, headersSize: usize, grpc: i32): i32;
@external("env", "proxy_set_effective_context") export declare function proxy_set_effective_context(context: u32): i32;
@external("env", "proxy_set_tick_period_milliseconds") export declare function proxy_set_tick_period_milliseconds(period: u32): i32;
@external("env", "proxy_define_metric") export declare function proxy_define_metric(type: i32, name: usize, nameSize: usize, id: usize): i32;
@external("env", "proxy_increment_metric") export declare function proxy_increment_metric(id: u32, delta: i64): i32;
@external("env", "proxy_record_metric") export declare function proxy_record_metric(id: u32, value: u64): i32;
@external("env", "proxy_get_metric") export declare function proxy_get_metric(id: u32, value: usize): i32;
@external("env", "proxy_get_property") export declare function proxy_get_property(path: usize, pathSize: usize, out: usize, size: usize): i32;
@external("env", "proxy_set_property") export declare function proxy_set_property(path: usize, pathSize: usize, value: usize, valueSize: usize): i32;
@external("env", "proxy_get_shared_data") export declare function proxy_get_shared_data(key: usize, keySize: usize, out: usize, size: usize, cas: usize): i32;
@external("env", "proxy_set_shared_data") export declare function proxy_set_shared_data(key: usize, keySize: usize, value: usize, valueSize: usize, cas: u32): i32;
@external("env", "proxy_register_shared_queue") export declare function proxy_register_shared_queue(name: usize, nameSize: usize, id: usize): i32;
@external("env", "proxy_resolve_shared_queue") export declare function proxy_resolve_shared_queue(vm: usize, vmSize: usize, name: usize, nameSize: usize, id: usize): i32;
@external("env", "proxy_enqueue_shared_queue") export declare function proxy_enqueue_shared_queue(id: u32, data: usize, size: usize): i32;
@external("env", "proxy_dequeue_shared_queue") export declare function proxy_dequeue_shared_queue(id: u32, out: usize, size: usize): i32;
@external("env", "proxy_call_foreign_function") export declare function proxy_call_foreign_function(name: usize, nameSize: usize, args: usize, argsSize: usize, out: usize, size: usize): i32;
@external("env", "proxy_http_call") export declare function proxy_http_call(cluster: usize, clusterSize: usize, headers: usize, headersSize: usize, body: usize, bodySize: usize, trailers: usize, trailersSize: usize, timeout: i32, id: usize): i32;
@external("env", "proxy_get_status") export declare function proxy_get_status(code: usize, out: usize, size: usize): i32;
@external("env", "proxy_done") export declare function proxy_done(): i32;

export const OUT: usize = memory.data(64, 16);
export const SIZE: usize = OUT + 8;
export const THIRD: usize = OUT + 16;
/** Written to out parameters before a call: still there afterwards means the host did not touch them. */
export const UNTOUCHED: u32 = 0xabababab;
export const OUTSIDE: usize = 0xfffffff0;
