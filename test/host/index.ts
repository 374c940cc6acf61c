/** What tests import from the host. */
export { BufferType, DataStatus, HeadersStatus, MapType, MetricType, Status, StreamType } from "./abi.ts";
export { expectSameForEverySplit, splits } from "./chunk-driver.ts";
export { LoadError } from "./engine.ts";
export { memoryGrowth } from "./flat-memory.ts";
export { type HeaderInput, HeaderMap, parsePairs, serializePairs } from "./header-map.ts";
export { type LoadOptions, ProxyWasmHost } from "./host.ts";
export type { ExchangeRequest, ExchangeResponse, Plugin, PluginSpec } from "./plugin.ts";
export type { Stream } from "./stream.ts";
