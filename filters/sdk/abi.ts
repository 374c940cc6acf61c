/**
 * Numbers of Proxy-Wasm ABI 0.2.1, as Envoy serves it.
 *
 * Rule for updates: a number is never reused and never renamed; a new ABI version adds members at its own numbers.
 * Reference: proxy-wasm/spec abi-versions/v0.2.1, and cpp-host `proxy_wasm_enums.h` where Envoy goes beyond the text.
 */

/** Result of every hostcall. Out-parameters are only written by the host when the status is `Ok`. */
export const enum Status {
  Ok = 0,
  NotFound = 1,
  BadArgument = 2,
  SerializationFailure = 3,
  ParseFailure = 4,
  InvalidMemoryAccess = 6,
  Empty = 7,
  CasMismatch = 8,
  InternalFailure = 10,
  Unimplemented = 12,
}

export const enum LogLevel {
  Trace = 0,
  Debug = 1,
  Info = 2,
  Warn = 3,
  Error = 4,
  Critical = 5,
}

/**
 * Answer of a headers callback. Without `allow_on_headers_stop_iteration` in the plugin configuration Envoy turns
 * `StopIteration` into `StopAllIterationAndWatermark`, and the body callback never comes.
 */
export const enum FilterHeadersStatus {
  Continue = 0,
  StopIteration = 1,
  ContinueAndEndStream = 2,
  StopAllIterationAndBuffer = 3,
  StopAllIterationAndWatermark = 4,
}

export const enum FilterDataStatus {
  Continue = 0,
  StopIterationAndBuffer = 1,
  StopIterationAndWatermark = 2,
  StopIterationNoBuffer = 3,
}

export const enum FilterTrailersStatus {
  Continue = 0,
  StopIteration = 1,
}

/** Answer of a TCP callback. */
export const enum Action {
  Continue = 0,
  Pause = 1,
}

export const enum StreamType {
  HttpRequest = 0,
  HttpResponse = 1,
  Downstream = 2,
  Upstream = 3,
}

export const enum PeerType {
  Unknown = 0,
  Local = 1,
  Remote = 2,
}

export const enum MetricType {
  Counter = 0,
  Gauge = 1,
  Histogram = 2,
}

export const enum BufferType {
  HttpRequestBody = 0,
  HttpResponseBody = 1,
  DownstreamData = 2,
  UpstreamData = 3,
  HttpCallResponseBody = 4,
  GrpcReceiveBuffer = 5,
  VmConfiguration = 6,
  PluginConfiguration = 7,
  CallData = 8,
}

export const enum MapType {
  HttpRequestHeaders = 0,
  HttpRequestTrailers = 1,
  HttpResponseHeaders = 2,
  HttpResponseTrailers = 3,
  GrpcInitialMetadata = 4,
  GrpcTrailingMetadata = 5,
  HttpCallResponseHeaders = 6,
  HttpCallResponseTrailers = 7,
}
