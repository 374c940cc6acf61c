/** What can be known of a proxy from outside its requests: how many VMs a plugin costs and who is called in them. */
import { type Driver, listeners } from "./scenario.ts";

const plugins = Object.keys(listeners).length;
/** Workers of both drivers. */
const workers = 1;

export interface ProcessFact {
  about: string;
  measure: (driver: Driver) => Promise<unknown>;
  expect: unknown;
}

const count = (facts: string[], start: string): number => facts.filter((fact) => fact.startsWith(start)).length;

export const processFacts: readonly ProcessFact[] = [
  {
    about: "_initialize runs in base, canary, main-thread and worker VMs of every plugin",
    measure: async (driver) => count(driver.rootFacts(), "initialize"),
    expect: plugins * (workers + 3),
  },
  {
    about:
      "configuration runs in all of them but the base; the VM configuration is readable at start, the plugin's is not",
    measure: async (driver) => count(driver.rootFacts(), "vm_start config 0 vm-text plugin config 1 untouched"),
    expect: workers + 2,
  },
  {
    about: "a root knows its plugin while it is created; only the first root of a VM can read its configuration then",
    measure: async (driver) => count(driver.rootFacts(), "create root id 0 probe-root name 0 probe-ticks config 0 5"),
    expect: workers + 2,
  },
  {
    about: "on_configure gets the size of its text",
    measure: async (driver) => count(driver.rootFacts(), "configure ticks size 5"),
    expect: workers + 2,
  },
  {
    about: "ticks come on the main thread too",
    measure: (driver) => driver.metric("conformance_ticking_vms"),
    expect: workers + 1,
  },
  {
    about: "VMs created",
    measure: (driver) => driver.stat("wasm.envoy.wasm.runtime.v8.created"),
    expect: plugins * (workers + 3),
  },
  {
    about: "VMs alive: all but the canaries",
    measure: (driver) => driver.stat("wasm.envoy.wasm.runtime.v8.active"),
    expect: plugins * (workers + 2),
  },
];

/** Modules that must not load: bytes of probe.wasm with one name changed for another of the same length. */
export interface Refusal {
  name: string;
  /** What Envoy says about it; the host says it in its own words or the same. */
  says: RegExp;
  module: "probe" | "restricted-start";
  rename?: readonly [string, string];
  config?: string;
}

export const refusals: readonly Refusal[] = [
  { name: "on_configure returns false", says: /Failed to configure/, module: "probe", config: "refuse" },
  {
    name: "a hostcall in _initialize that is not allowed there",
    says: /restricted_callback/,
    module: "restricted-start",
  },
  {
    name: "an import that the host does not have",
    says: /missing import: env.proxy_get_log_leven/,
    module: "probe",
    rename: ["proxy_get_log_level", "proxy_get_log_leven"],
  },
  {
    name: "no ABI marker",
    says: /Missing or unknown Proxy-Wasm ABI version/,
    module: "probe",
    rename: ["proxy_abi_version_0_2_1", "proxy_abi_version_0_9_9"],
  },
  {
    name: "no allocator",
    says: /missing malloc/,
    module: "probe",
    rename: ["proxy_on_memory_allocate", "proxy_on_memory_allocatx"],
  },
  {
    name: "a callback of the wrong type",
    says: /Bad function signature for: proxy_on_request_metadata/,
    module: "probe",
    rename: ["proxy_on_response_headers", "proxy_on_request_metadata"],
  },
];

export function renamed(module: Buffer, [from, to]: readonly [string, string]): Buffer {
  const at = module.indexOf(from);
  if (at < 0 || from.length !== to.length) throw new Error(`conformance: cannot rename ${from} to ${to}`);
  const copy = Buffer.from(module);
  copy.write(to, at);
  return copy;
}
