/** Callbacks of HTTP streams. Export the ones the filter overrides, by name. */
import { FilterDataStatus, FilterHeadersStatus, FilterTrailersStatus } from "../abi";
import { dispatcher } from "../dispatcher";
import { scratch } from "../scratch";

export function proxy_on_request_headers(id: u32, count: i32, endOfStream: i32): i32 {
  scratch.enter();
  const context = dispatcher.http(id);
  const status = context !== null ? context.onRequestHeaders(count, endOfStream != 0) : FilterHeadersStatus.Continue;
  scratch.leave();
  return status;
}

export function proxy_on_request_body(id: u32, size: i32, endOfStream: i32): i32 {
  scratch.enter();
  const context = dispatcher.http(id);
  const status = context !== null ? context.onRequestBody(size, endOfStream != 0) : FilterDataStatus.Continue;
  scratch.leave();
  return status;
}

export function proxy_on_request_trailers(id: u32, count: i32): i32 {
  scratch.enter();
  const context = dispatcher.http(id);
  const status = context !== null ? context.onRequestTrailers(count) : FilterTrailersStatus.Continue;
  scratch.leave();
  return status;
}

export function proxy_on_response_headers(id: u32, count: i32, endOfStream: i32): i32 {
  scratch.enter();
  const context = dispatcher.http(id);
  const status = context !== null ? context.onResponseHeaders(count, endOfStream != 0) : FilterHeadersStatus.Continue;
  scratch.leave();
  return status;
}

export function proxy_on_response_body(id: u32, size: i32, endOfStream: i32): i32 {
  scratch.enter();
  const context = dispatcher.http(id);
  const status = context !== null ? context.onResponseBody(size, endOfStream != 0) : FilterDataStatus.Continue;
  scratch.leave();
  return status;
}

export function proxy_on_response_trailers(id: u32, count: i32): i32 {
  scratch.enter();
  const context = dispatcher.http(id);
  const status = context !== null ? context.onResponseTrailers(count) : FilterTrailersStatus.Continue;
  scratch.leave();
  return status;
}

export function proxy_on_log(id: u32): void {
  scratch.enter();
  const context = dispatcher.stream(id);
  if (context !== null) context.onLog();
  scratch.leave();
}
