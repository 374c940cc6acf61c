/** The public face of the SDK. A filter imports from here, and its entry file re-exports callbacks from `sdk/exports/*`. */
export {
  Action,
  BufferType,
  FilterDataStatus,
  FilterHeadersStatus,
  FilterTrailersStatus,
  LogLevel,
  MapType,
  MetricType,
  PeerType,
  Status,
  StreamType,
} from "./abi";
export { Bytes } from "./bytes";
export { HttpContext, RootContext, StreamContext, TcpContext } from "./context";
export { registerRoot } from "./dispatcher";
export { HeaderBatch } from "./header-batch";
export { HeaderPairs } from "./header-pairs";
export { buffer } from "./hostcalls/buffer";
export { environment } from "./hostcalls/environment";
export { foreign } from "./hostcalls/foreign";
export { grpc } from "./hostcalls/grpc";
export { headers } from "./hostcalls/header-map";
export { httpCall } from "./hostcalls/http-call";
export { log } from "./hostcalls/log";
export { Metric } from "./hostcalls/metric";
export { property } from "./hostcalls/property";
export { random } from "./hostcalls/random";
export { sharedData } from "./hostcalls/shared-data";
export { sharedQueue } from "./hostcalls/shared-queue";
export { callStatus } from "./hostcalls/status";
export { stream } from "./hostcalls/stream";
export { time } from "./hostcalls/time";
export { IdTable } from "./id-table";
export { scratch } from "./scratch";
export { ByteWriter, hexDigit, PairsWriter } from "./writer";
