/** Model -> xDS resources. */
export { buildResources } from "./build.ts";
export type { WasmModule, WasmModules } from "./filters.ts";
export { codeOf, FILTER_CODES, type FilterCode, llmFilters } from "./llm-filters.ts";
export { type LoadsPool, loadsPools } from "./picker-pools.ts";
export type { ServerAddress } from "./server-clusters.ts";
export { defaultWasmDir, loadWasmModule, type WasmDelivery, wasmPath, wasmStamp } from "./wasm-modules.ts";
