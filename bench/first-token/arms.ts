/** The arms of this bench: three of the CPU bench, and an empty filter that would say nothing new there. */
import { join } from "node:path";
import { wasmFilter } from "../../envoy/harness/index.ts";
import { type Arm, arms as cpuArms } from "../envoy/arms/index.ts";
import type { ModuleSource } from "../module.ts";

export const emptyModule: ModuleSource = { name: "empty", entry: "bench/first-token/wasm/empty.ts" };

const empty: Arm = {
  name: "empty Wasm filter",
  does: "a Proxy-Wasm module (AssemblyScript) with all callbacks of a stream, each of which returns at once: what Envoy takes for any Wasm filter",
  routes: false,
  usage: { kind: "none", reason: "does nothing" },
  httpFilters: ({ root }) => [
    wasmFilter({ name: "empty", file: join(root, `build/bench/${emptyModule.name}.wasm`), vmId: "bench" }),
  ],
};

const shared = (name: string): Arm[] => cpuArms.filter((arm) => arm.name === name);

/** `bare` first: all others are compared with it. */
export const arms: readonly Arm[] = [...shared("bare"), empty, ...shared("llm-router"), ...shared("llm-gateway")];
