/**
 * One WebAssembly VM as Envoy runs it: contexts by id, the current and the effective context, hostcalls that are allowed
 * only at certain times, deferred actions, and death by trap.
 */
import { callableAtStart, callableInAllocate } from "./abi.ts";
import type { Context, RootContext } from "./context.ts";
import { RootContext as Root } from "./context.ts";
import type { LoadedModule } from "./engine.ts";
import type { Environment } from "./environment.ts";
import { hostcalls } from "./hostcalls/index.ts";
import { LinearMemory } from "./memory.ts";
import { MetricTable } from "./metrics.ts";

export type VmKind = "base" | "canary" | "main" | "worker";
export type Argument = number | bigint;
type Callback = (...args: Argument[]) => number | undefined;

/** Traps the module on behalf of the host, the way cpp-host throws from a host function. */
export class Trap extends Error {}

export interface VmIdentity {
  key: string;
  vmId: string;
  configuration: Uint8Array;
}

export class Vm {
  readonly kind: VmKind;
  /** 0 is the main thread (also of base and canary), workers count from 1. */
  readonly thread: number;
  readonly identity: VmIdentity;
  readonly environment: Environment;
  readonly contexts = new Map<number, Context>();
  readonly vmContext: RootContext;
  readonly metrics: MetricTable;
  readonly memory: LinearMemory;
  /** Set when the module trapped: no callback of this VM runs again. */
  failure: Trap | WebAssembly.RuntimeError | RangeError | undefined;
  /** proxy_send_local_response stops the current iteration whatever the callback returns. */
  iterationStopped = false;
  allocations = 0;
  #current: Context;
  #effective = 0;
  #during = "";
  #depth = 0;
  #nextContext = 1;
  #allowed: ReadonlySet<string> | undefined;
  #afterCall: (() => void)[] = [];
  #onLeft: (() => void)[] = [];
  #scratch: { pointer: number; size: number }[] = [];
  readonly #exports: Record<string, unknown>;
  #nextCallout = [0, 1, 2];

  constructor(environment: Environment, loaded: LoadedModule, identity: VmIdentity, kind: VmKind, thread: number) {
    this.kind = kind;
    this.thread = thread;
    this.identity = identity;
    this.environment = environment;
    this.metrics = new MetricTable(environment.metrics);
    this.vmContext = new Root(this, 0, undefined);
    this.#current = this.vmContext;
    const imports: Record<string, Record<string, (...args: never[]) => unknown>> = {};
    for (const { module, name } of loaded.report.imports) {
      imports[module] ??= {};
      imports[module][name] = this.#hostcall(module, name) as (...args: never[]) => unknown;
    }
    environment.vmCreated(this);
    const instance = new WebAssembly.Instance(loaded.module, imports);
    this.#exports = instance.exports;
    const memory = instance.exports.memory;
    if (!(memory instanceof WebAssembly.Memory)) throw new Error("host: the module exports no memory");
    this.memory = new LinearMemory(memory);
    this.#start();
  }

  /** WASI reactor start: `_initialize` (else `_start`) under the restrictions of that phase. */
  #start(): void {
    this.#allowed = callableAtStart;
    if (this.#exports._initialize) {
      this.call(this.vmContext, "_initialize");
      if (this.#exports.main) this.call(this.vmContext, "main", 0, 0);
    } else this.call(this.vmContext, "_start");
    this.#allowed = undefined;
  }

  nextContextId(): number {
    while (this.contexts.has(this.#nextContext)) this.#nextContext++;
    return this.#nextContext++;
  }

  /** 0 = HTTP call, 1 = gRPC call, 2 = gRPC stream; the low two bits of the token say which. */
  nextCallout(kind: 0 | 1 | 2): number {
    const token = (this.#nextCallout[kind] ?? 0) + 4;
    this.#nextCallout[kind] = token;
    return token;
  }

  /** The context that hostcalls act on. */
  get context(): Context {
    return (this.#effective === 0 ? undefined : this.contexts.get(this.#effective)) ?? this.#current;
  }

  /** False when there is no such context. */
  setEffectiveContext(id: number): boolean {
    if (!this.contexts.has(id)) return false;
    this.#effective = id;
    return true;
  }

  has(callback: string): boolean {
    return typeof this.#exports[callback] === "function";
  }

  /** Runs once the callback is over that runs now; it may not enter the VM. */
  onLeft(action: () => void): void {
    this.#onLeft.push(action);
  }

  /** A callback runs. */
  get entered(): boolean {
    return this.#depth > 0;
  }

  afterCall(action: () => void): void {
    this.#afterCall.push(action);
  }

  /**
   * Calls an export for `context`; undefined when the module lacks it or has trapped. Actions that the module asked for
   * and that Envoy defers stay pending until `settle`.
   */
  call(context: Context, callback: string, ...args: Argument[]): number | undefined {
    const fn = this.#exports[callback];
    if (this.failure || typeof fn !== "function") return undefined;
    if (this.#depth > 0) throw new Error(`host: ${callback} would re-enter the VM during ${this.#during}`);
    const [current, effective, during] = [this.#current, this.#effective, this.#during];
    [this.#current, this.#effective, this.#during] = [context, 0, callback];
    this.#depth++;
    try {
      const result = (fn as Callback)(...args);
      return result === undefined ? undefined : result >>> 0;
    } catch (error) {
      this.#trapped(callback, error);
      return undefined;
    } finally {
      this.#depth--;
      [this.#current, this.#effective, this.#during] = [current, effective, during];
      this.#poison();
      for (const action of this.#onLeft.splice(0)) action();
    }
  }

  /** Ends a callback: lifts the stop of the iteration and runs deferred actions, which may enter the VM again. */
  settle(): void {
    this.iterationStopped = false;
    for (let action = this.#afterCall.shift(); action; action = this.#afterCall.shift()) action();
  }

  /** `call` and `settle` in one, for callbacks whose answer is not translated. */
  invoke(context: Context, callback: string, ...args: Argument[]): number | undefined {
    const result = this.call(context, callback, ...args);
    this.settle();
    return result;
  }

  /** Memory for the module from the module; undefined when it has none. */
  allocate(size: number): number | undefined {
    const fn = this.#exports.malloc ?? this.#exports.proxy_on_memory_allocate;
    if (typeof fn !== "function") return undefined;
    if (this.environment.faults.refuseAllocation()) return undefined;
    const allowed = this.#allowed;
    this.#allowed = callableInAllocate;
    let pointer = 0;
    try {
      pointer = (fn as Callback)(size) ?? 0;
    } catch (error) {
      // As in Envoy the VM is dead from here on, but the hostcall answers and the callback under way runs to its end.
      this.#trapped("proxy_on_memory_allocate", error);
    } finally {
      this.#allowed = allowed;
    }
    this.allocations++;
    if (this.environment.faults.growOnAllocate > 0) this.memory.grow(this.environment.faults.growOnAllocate);
    const address = pointer >>> 0;
    if (address === 0 || !this.memory.view(address, size)) return undefined;
    this.#scratch.push({ pointer: address, size });
    return address;
  }

  /** Hands `bytes` to the module and writes pointer and size to its out parameters. */
  give(bytes: Uint8Array, pointerOut: number, sizeOut: number): boolean {
    const pointer = bytes.length === 0 ? 0 : this.allocate(bytes.length);
    if (pointer === undefined) return false;
    if (bytes.length > 0) this.memory.write(pointer, bytes);
    return this.memory.setU32(pointerOut, pointer) && this.memory.setU32(sizeOut, bytes.length);
  }

  /** What the module received is borrowed until its callback ends; poison shows who kept a pointer. */
  #poison(): void {
    if (this.#depth > 0) return;
    if (this.environment.options.poisonScratch) {
      for (const { pointer, size } of this.#scratch) this.memory.view(pointer, size)?.fill(0xdd);
    }
    this.#scratch = [];
  }

  /** Notes the death of the VM; what is not a trap is a fault of the host or the test and passes on. */
  #trapped(callback: string, error: unknown): void {
    if (!(error instanceof Trap || error instanceof WebAssembly.RuntimeError || error instanceof RangeError))
      throw error;
    this.failure = error;
    const kind = error instanceof Trap ? "TypeError" : error instanceof RangeError ? "RangeError" : "RuntimeError";
    this.environment.log(this.context, "critical", `Function: ${callback} failed: Uncaught ${kind}: ${error.message}`);
    this.environment.vmFailed(this);
  }

  #hostcall(module: string, name: string): (...args: Argument[]) => number {
    const full = `${module}.${name}`;
    const run = hostcalls.get(module === "env" ? full : `wasi.${name}`);
    if (!run) throw new Error(`host: ${full} passed the link check but is not implemented`);
    return (...raw) => {
      if (this.#allowed && !this.#allowed.has(full)) throw new Trap(`restricted_callback (${name} in ${this.#during})`);
      const args = raw.map((value) => (typeof value === "number" ? value >>> 0 : value));
      const context = this.context;
      const fault = this.environment.faults.hit(name, args);
      if (fault?.trap) throw new Trap(`injected trap in ${name}`);
      const status = fault?.status ?? run(this, context, args);
      context.trace.add({ during: this.#during, name, args, status });
      return status;
    };
  }
}
