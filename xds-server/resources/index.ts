/** Model -> xDS resources. */
export { type Build, type BuildOptions, build, withNamed } from "./build.ts";
export { type BuiltTarget, targetResources } from "./cluster-resources.ts";
export { isEdsCluster } from "./clusters.ts";
export { type EndpointWeights, NO_WEIGHTS } from "./endpoint-weights.ts";
export { envoyResource } from "./envoy-resources.ts";
export type { WasmModule, WasmModules } from "./filters.ts";
export { codeOf, FILTER_CODES, type FilterCode, llmFilters } from "./llm-filters.ts";
export { type LoadsPool, loadsPools, pickedEntries } from "./picker-pools.ts";
export { ResourceMemo } from "./resource-memo.ts";
export type { ServerAddress } from "./server-clusters.ts";
export { clusterName } from "./service-index.ts";
export { defaultWasmDir, loadWasmModule, type WasmDelivery, wasmPath, wasmStamp } from "./wasm-modules.ts";
