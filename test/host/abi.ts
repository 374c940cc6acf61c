/**
 * Numbers of the Proxy-Wasm ABI 0.2.1 as Envoy reads them.
 *
 * This is the host's own reading of the specification; it shares nothing with the filters' SDK, so that a misreading on
 * one side shows up as a failing test. https://github.com/proxy-wasm/spec/tree/main/abi-versions/v0.2.1
 */

export const Status = {
  Ok: 0,
  NotFound: 1,
  BadArgument: 2,
  SerializationFailure: 3,
  ParseFailure: 4,
  InvalidMemoryAccess: 6,
  Empty: 7,
  CasMismatch: 8,
  InternalFailure: 10,
  BrokenConnection: 11,
  Unimplemented: 12,
} as const;
export type Status = (typeof Status)[keyof typeof Status];

export const LogLevel = { trace: 0, debug: 1, info: 2, warn: 3, error: 4, critical: 5 } as const;
export type LogLevelName = keyof typeof LogLevel;

export const BufferType = {
  HttpRequestBody: 0,
  HttpResponseBody: 1,
  DownstreamData: 2,
  UpstreamData: 3,
  HttpCallResponseBody: 4,
  GrpcReceiveBuffer: 5,
  VmConfiguration: 6,
  PluginConfiguration: 7,
  CallData: 8,
} as const;

export const MapType = {
  RequestHeaders: 0,
  RequestTrailers: 1,
  ResponseHeaders: 2,
  ResponseTrailers: 3,
  GrpcInitialMetadata: 4,
  GrpcTrailingMetadata: 5,
  HttpCallResponseHeaders: 6,
  HttpCallResponseTrailers: 7,
} as const;

export const StreamType = { Request: 0, Response: 1, Downstream: 2, Upstream: 3 } as const;
export const MetricType = { Counter: 0, Gauge: 1, Histogram: 2 } as const;

export const HeadersStatus = {
  Continue: 0,
  StopIteration: 1,
  ContinueAndEndStream: 2,
  StopAllIterationAndBuffer: 3,
  StopAllIterationAndWatermark: 4,
} as const;
export const DataStatus = {
  Continue: 0,
  StopIterationAndBuffer: 1,
  StopIterationAndWatermark: 2,
  StopIterationNoBuffer: 3,
} as const;
export const TrailersStatus = { Continue: 0, StopIteration: 1 } as const;

/** What the module may call while it is being instantiated (`_initialize`); everything else traps. */
export const callableAtStart: ReadonlySet<string> = new Set([
  "env.proxy_log",
  ...["wasi_unstable", "wasi_snapshot_preview1"].flatMap((module) =>
    [
      "fd_write",
      "args_sizes_get",
      "args_get",
      "environ_sizes_get",
      "environ_get",
      "fd_prestat_get",
      "fd_prestat_dir_name",
      "clock_time_get",
      "random_get",
    ].map((name) => `${module}.${name}`),
  ),
]);

/** What the module may call while the host asks it for memory. */
export const callableInAllocate: ReadonlySet<string> = new Set([
  "env.proxy_log",
  ...["wasi_unstable", "wasi_snapshot_preview1"].flatMap((module) => [
    `${module}.fd_write`,
    `${module}.clock_time_get`,
  ]),
]);

/** Limits of Envoy's reading of serialised pairs; beyond them the buffer counts as empty, without an error. */
export const maxPairsBytes = 1024 * 1024;
export const maxPairsCount = 1024;

/** Bytes <-> strings, one byte per character: headers and properties are bytes that are nearly always ASCII. */
export const bytesOf = (text: string): Uint8Array => new Uint8Array(Buffer.from(text, "latin1"));
export const textOf = (bytes: Uint8Array): string =>
  Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("latin1");
/** Accepts what is convenient in a test. Text is sent as UTF-8. */
export const bodyOf = (body: Uint8Array | string): Uint8Array =>
  typeof body === "string" ? new TextEncoder().encode(body) : body;
