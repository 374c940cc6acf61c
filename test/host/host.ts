/**
 * A stateful imitation of the part of Envoy that a Proxy-Wasm filter can see, for unit tests of compiled modules.
 *
 * One `ProxyWasmHost` is one Envoy process: a main thread and workers with a VM each, shared data, queues and metrics in
 * common, a virtual clock. It is kept honest by test/conformance, which runs one scenario table here and on real Envoy.
 */
import { bodyOf, LogLevel, type LogLevelName, Status } from "./abi.ts";
import { Callouts } from "./callouts.ts";
import { seededRandom, VirtualClock } from "./clock.ts";
import type { Context, PluginIdentity, RootContext } from "./context.ts";
import { LoadError, type LoadedModule, loadModule } from "./engine.ts";
import type { Environment, HostOptions, LogRecord } from "./environment.ts";
import { Faults } from "./faults.ts";
import { foreignFunctions } from "./foreign.ts";
import { Metrics } from "./metrics.ts";
import { Plugin, type PluginSpec } from "./plugin.ts";
import { type Attributes, serializeAttribute } from "./properties.ts";
import { deleteRoot, startRoot } from "./root-lifecycle.ts";
import { SharedData } from "./shared-data.ts";
import { SharedQueues } from "./shared-queue.ts";
import { Vm, type VmIdentity, type VmKind } from "./vm.ts";

export type LoadOptions = Partial<HostOptions>;

const defaults: HostOptions = {
  workers: 1,
  logLevel: "info",
  bufferLimitBytes: 1024 * 1024,
  poisonScratch: true,
  seed: 1,
  epochMs: Date.UTC(2026, 0, 1),
  environmentVariables: {},
};

/** Log records kept; older ones are dropped so that a soak test stays small. */
const maxLogRecords = 20_000;

interface VmFamily {
  base: Vm;
  /** By plugin key: whether a canary accepted it. */
  canaries: Map<string, string | undefined>;
  /** Live VM per thread, with the number of plugin handles that use it. */
  local: Map<number, { vm: Vm; users: number }>;
}

export class ProxyWasmHost implements Environment {
  readonly options: HostOptions;
  readonly clock: VirtualClock;
  readonly random: () => number;
  readonly faults = new Faults();
  readonly metrics = new Metrics();
  readonly sharedData = new SharedData();
  readonly sharedQueues = new SharedQueues();
  readonly callouts: Callouts;
  readonly foreign = foreignFunctions();
  readonly attributes: Attributes = new Map([["xds.node.id", "test-node"]]);
  readonly logs: LogRecord[] = [];
  /** Envoy's counters about VMs: "wasm.<plugin>.vm_reload_success", "wasm.envoy.wasm.runtime.v8.created", ... */
  readonly stats = new Map<string, number>();
  readonly pendingDone = new Set<RootContext>();
  readonly plugins: Plugin[] = [];
  readonly #module: LoadedModule;
  readonly #families = new Map<string, VmFamily>();
  readonly #contextLogs = new WeakMap<Context, LogRecord[]>();
  #posted: (() => void)[] = [];

  private constructor(module: LoadedModule, options: HostOptions) {
    this.#module = module;
    this.options = options;
    this.clock = new VirtualClock(options.epochMs);
    this.random = seededRandom(options.seed);
    this.callouts = new Callouts((delayMs, action) => {
      if (delayMs > 0) this.clock.after(delayMs, action);
      else this.post(action);
    });
  }

  /** Loads a module from a file or bytes. Throws LoadError with Envoy's words when Envoy would refuse it. */
  static async load(source: string | Uint8Array, options: LoadOptions = {}): Promise<ProxyWasmHost> {
    return new ProxyWasmHost(loadModule(source), { ...defaults, ...options });
  }

  /** Configures a plugin as a listener would. Throws LoadError when the module or its configuration is refused. */
  plugin(spec: PluginSpec = {}): Plugin {
    const plugin = new Plugin(this, spec);
    this.plugins.push(plugin);
    this.turn();
    return plugin;
  }

  /** Moves the virtual clock; ticks, callouts and timeouts fire on the way. */
  advance(ms: number): void {
    this.clock.advance(ms);
    this.turn();
  }

  count(stat: string, by = 1): void {
    this.stats.set(stat, (this.stats.get(stat) ?? 0) + by);
  }

  /** Live VMs of worker threads, by worker number from 0. */
  workerVm(worker = 0, vmId = ""): Vm {
    for (const family of this.#families.values()) {
      const found = family.local.get(worker + 1)?.vm;
      if (found && family.base.identity.vmId === vmId) return found;
    }
    throw new Error(`host: no VM on worker ${worker} for vm_id "${vmId}"`);
  }

  // Environment of the VMs.

  log(context: Context, level: LogLevelName, message: string): void {
    if (LogLevel[level] < LogLevel[this.options.logLevel]) return;
    const { vm } = context;
    const record: LogRecord = {
      level,
      message,
      contextId: context.id,
      thread: vm.thread,
      plugin: context.root.plugin?.name ?? "",
    };
    if (this.logs.length >= maxLogRecords) this.logs.splice(0, maxLogRecords / 2);
    this.logs.push(record);
    const own = this.#contextLogs.get(context) ?? [];
    own.push(record);
    this.#contextLogs.set(context, own);
  }

  logsOf(context: Context): LogRecord[] {
    return this.#contextLogs.get(context) ?? [];
  }

  rootProperty(context: RootContext, path: readonly string[]): Uint8Array | undefined {
    const dotted = path.join(".");
    const own: Record<string, string | undefined> = {
      plugin_name: context.plugin?.name,
      plugin_root_id: context.plugin?.rootId,
      plugin_vm_id: context.vm.identity.vmId,
    };
    const value = this.attributes.get(dotted) ?? own[dotted];
    return value === undefined ? undefined : serializeAttribute(value);
  }

  post(action: () => void): void {
    this.#posted.push(action);
  }

  /** Runs everything posted, also what is posted meanwhile; a module that posts for ever is stopped. */
  turn(): void {
    for (let round = 0; this.#posted.length > 0; round++) {
      if (round > 10_000) throw new Error("host: events are posted without end");
      const batch = this.#posted;
      this.#posted = [];
      for (const action of batch) action();
    }
  }

  done(context: RootContext): number {
    if (!this.pendingDone.delete(context)) return Status.NotFound;
    context.vm.afterCall(() => deleteRoot(context));
    return Status.Ok;
  }

  localVm(key: string, thread: number): Vm | undefined {
    return this.#families.get(key)?.local.get(thread)?.vm;
  }

  vmCreated(_vm: Vm): void {
    this.count("wasm.envoy.wasm.runtime.v8.created");
    this.count("wasm.envoy.wasm.runtime.v8.active");
  }

  /** The thread forgets a trapped VM; plugins that hold it still see it until they reload. */
  vmFailed(vm: Vm): void {
    for (const family of this.#families.values()) {
      if (family.local.get(vm.thread)?.vm === vm) family.local.delete(vm.thread);
    }
  }

  // VMs of plugins.

  #create(identity: VmIdentity, kind: VmKind, thread: number): Vm {
    return new Vm(this, this.#module, identity, kind, thread);
  }

  /** Asks base and canary; undefined when the plugin may run, else why not. */
  tryPlugin(vmIdentity: VmIdentity, plugin: PluginIdentity, pluginKey: string): string | undefined {
    let family = this.#families.get(vmIdentity.key);
    if (!family) {
      const base = this.#create(vmIdentity, "base", 0);
      if (base.failure) return `Failed to initialize Wasm code (${base.failure.message})`;
      family = { base, canaries: new Map(), local: new Map() };
      this.#families.set(vmIdentity.key, family);
    }
    if (family.canaries.has(pluginKey)) return family.canaries.get(pluginKey);
    const canary = this.#create(vmIdentity, "canary", 0);
    const { error } = startRoot(canary, plugin);
    for (const context of canary.contexts.values()) context.root.cancelTick?.();
    this.count("wasm.envoy.wasm.runtime.v8.active", -1);
    family.canaries.set(pluginKey, error);
    return error;
  }

  /** The VM of a thread for a VM key, made when needed. */
  acquireVm(identity: VmIdentity, thread: number): Vm {
    const family = this.#families.get(identity.key);
    if (!family) throw new LoadError("Failed to clone Base Wasm");
    let local = family.local.get(thread);
    if (!local) {
      local = { vm: this.#create(identity, thread === 0 ? "main" : "worker", thread), users: 0 };
      family.local.set(thread, local);
    }
    local.users++;
    return local.vm;
  }

  releaseVm(vm: Vm): void {
    const local = this.#families.get(vm.identity.key)?.local;
    const entry = local?.get(vm.thread);
    if (entry && entry.vm !== vm) return;
    if (entry && --entry.users > 0) return;
    local?.delete(vm.thread);
    this.count("wasm.envoy.wasm.runtime.v8.active", -1);
  }

  vmIdentity(vmId: string, configuration: string | Uint8Array): VmIdentity {
    const bytes = bodyOf(configuration);
    return { key: `${vmId}|${Buffer.from(bytes).toString("base64")}`, vmId, configuration: bytes };
  }
}
