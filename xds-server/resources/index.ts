/** Model -> xDS resources. */
export { buildResources, type WasmModules } from "./build.ts";
export { LLM_ROUTER, type WasmModule } from "./filters.ts";
export { defaultWasmDir, loadWasmModule, type WasmDelivery, wasmPath, wasmStamp } from "./wasm-modules.ts";
