/** The compiled filters that a model needs, read when they change. */
import type { ConfigError, Model } from "../config/index.ts";
import { ERRORS } from "../errors.ts";
import {
  codeOf,
  FILTER_CODES,
  type FilterCode,
  llmFilters,
  loadWasmModule,
  type WasmDelivery,
  type WasmModule,
  type WasmModules,
  wasmPath,
  wasmStamp,
} from "../resources/index.ts";

export class FilterModules {
  readonly #dir: string;
  readonly #delivery: WasmDelivery;
  readonly #loaded = new Map<FilterCode, { readonly stamp: string; readonly module: WasmModule }>();

  constructor(dir: string, delivery: WasmDelivery) {
    this.#dir = dir;
    this.#delivery = delivery;
  }

  /** Equal as long as no filter's file changed. */
  stamp(): string {
    return FILTER_CODES.map((code) => wasmStamp(wasmPath(this.#dir, code))).join();
  }

  /** The modules, and an error for each that cannot be read. A module is the same object as long as its file is the same. */
  of(model: Model): { readonly modules: WasmModules; readonly missing: readonly ConfigError[] } {
    const modules: { [K in FilterCode]?: WasmModule } = {};
    const missing: ConfigError[] = [];
    for (const code of new Set(llmFilters(model).map(codeOf))) {
      try {
        modules[code] = this.#load(code);
      } catch (error) {
        const message = error instanceof Error ? error.message : String(error);
        const { remedy } = ERRORS.TM_FILTER_MISSING;
        const file = wasmPath(this.#dir, code);
        missing.push({ code: "TM_FILTER_MISSING", message, remedy, file, line: 1, column: 1 });
      }
    }
    return { modules, missing };
  }

  #load(code: FilterCode): WasmModule {
    const path = wasmPath(this.#dir, code);
    const stamp = wasmStamp(path);
    const known = this.#loaded.get(code);
    if (known?.stamp === stamp) return known.module;
    const module = loadWasmModule(path, this.#delivery);
    this.#loaded.set(code, { stamp, module });
    return module;
  }
}
