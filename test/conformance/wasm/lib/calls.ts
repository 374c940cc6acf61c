/** One wrapper for each call: the status as a number, then what came out, as text for a fact. */
import { OUT, proxy_add_header_map_value, proxy_call_foreign_function, proxy_define_metric, proxy_get_buffer_bytes, proxy_get_buffer_status, proxy_get_header_map_pairs, proxy_get_header_map_value, proxy_get_property, proxy_http_call, proxy_log, proxy_remove_header_map_value, proxy_replace_header_map_value, proxy_send_local_response, proxy_set_buffer_bytes, SIZE, THIRD, UNTOUCHED } from "./hostcalls";

export function utf8(text: string): ArrayBuffer {
  return String.UTF8.encode(text);
}
@inline export function at(bytes: ArrayBuffer): usize {
  return changetype<usize>(bytes);
}
export function say(scenario: string, fact: string): void {
  const line = utf8("conformance|" + scenario + "|" + fact);
  proxy_log(3, at(line), line.byteLength);
}
export function fill(): void {
  store<u32>(OUT, UNTOUCHED);
  store<u32>(SIZE, UNTOUCHED);
  store<u32>(THIRD, UNTOUCHED);
}
export function result(): string {
  const size = load<u32>(SIZE);
  if (size == UNTOUCHED) return "untouched";
  return String.UTF8.decodeUnsafe(load<u32>(OUT), size);
}
export function word(address: usize): string {
  const value = load<u32>(address);
  return value == UNTOUCHED ? "untouched" : value.toString();
}

export function getHeader(map: i32, name: string): string {
  fill();
  const key = utf8(name);
  const status = proxy_get_header_map_value(map, at(key), key.byteLength, OUT, SIZE);
  return status.toString() + " " + result();
}
export function addHeader(map: i32, name: string, value: string): i32 {
  const key = utf8(name);
  const bytes = utf8(value);
  return proxy_add_header_map_value(map, at(key), key.byteLength, at(bytes), bytes.byteLength);
}
export function replaceHeader(map: i32, name: string, value: string): i32 {
  const key = utf8(name);
  const bytes = utf8(value);
  return proxy_replace_header_map_value(map, at(key), key.byteLength, at(bytes), bytes.byteLength);
}
export function removeHeader(map: i32, name: string): i32 {
  const key = utf8(name);
  return proxy_remove_header_map_value(map, at(key), key.byteLength);
}
/** Values of one name in the serialised pairs, joined with "+". */
export function inPairs(map: i32, name: string): string {
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
export function getProperty(path: string): string {
  fill();
  const bytes = utf8(path);
  const status = proxy_get_property(at(bytes), bytes.byteLength, OUT, SIZE);
  return status.toString() + " " + result();
}
export function getNumber(path: string): string {
  fill();
  const bytes = utf8(path);
  const status = proxy_get_property(at(bytes), bytes.byteLength, OUT, SIZE);
  if (status != 0 || load<u32>(SIZE) != 8) return status.toString() + " size " + word(SIZE);
  return status.toString() + " " + load<i64>(load<u32>(OUT)).toString();
}
export function getBuffer(type: i32, start: u32, max: u32): string {
  fill();
  const status = proxy_get_buffer_bytes(type, start, max, OUT, SIZE);
  return status.toString() + " " + result();
}
export function bufferSize(type: i32): string {
  fill();
  const status = proxy_get_buffer_status(type, OUT, SIZE);
  return status.toString() + " " + word(OUT);
}
export function setBuffer(type: i32, start: u32, size: u32, text: string): i32 {
  const bytes = utf8(text);
  return proxy_set_buffer_bytes(type, start, size, at(bytes), bytes.byteLength);
}
export function define(type: i32, name: string): i32 {
  const bytes = utf8(name);
  store<u32>(OUT, 0);
  return proxy_define_metric(type, at(bytes), bytes.byteLength, OUT);
}
export function foreign(name: string, args: string): string {
  fill();
  const key = utf8(name);
  const bytes = utf8(args);
  const status = proxy_call_foreign_function(at(key), key.byteLength, at(bytes), bytes.byteLength, OUT, SIZE);
  return status.toString() + " size " + word(SIZE);
}
export function pairs(list: string[]): ArrayBuffer {
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
export function respond(code: i32, text: string, headers: string[]): i32 {
  const details = utf8("probe says so");
  const body = utf8(text);
  const extra = pairs(headers);
  return proxy_send_local_response(code, at(details), details.byteLength, at(body), body.byteLength, at(extra), headers.length > 0 ? extra.byteLength : 0, -1);
}
export function httpCall(cluster: string, list: string[], timeout: i32): i32 {
  const name = utf8(cluster);
  const headers = pairs(list);
  fill();
  return proxy_http_call(at(name), name.byteLength, at(headers), headers.byteLength, 0, 0, 0, 0, timeout, OUT);
}
export const GET = (path: string): string[] => [":method", "GET", ":path", path, ":authority", "callout"];
