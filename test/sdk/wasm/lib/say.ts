/** How the fixtures report: a request header "out-<name>" that the test finds at the upstream, or a log line. */
import { Bytes, headers, log, LogLevel, MapType } from "../../../../filters/sdk";

const value = new Bytes();

export function say(name: string, text: string): void {
  headers.add(MapType.HttpRequestHeaders, Bytes.literal("out-" + name), Bytes.literal(text));
}

export function note(text: string): void {
  log.text(LogLevel.Warn, text);
}

/** What the test asks for, in the request header "op". */
export function op(): string {
  headers.get(MapType.HttpRequestHeaders, Bytes.literal("op"), value);
  return value.toString();
}

export function show(status: i32, bytes: Bytes): string {
  return status.toString() + " " + bytes.toString() + " " + bytes.len.toString();
}
