/** What all VMs of one emulated Envoy share. */
import type { LogLevelName } from "./abi.ts";
import type { Callouts } from "./callouts.ts";
import type { VirtualClock } from "./clock.ts";
import type { Context, RootContext } from "./context.ts";
import type { Faults } from "./faults.ts";
import type { ForeignFunction } from "./foreign.ts";
import type { Metrics } from "./metrics.ts";
import type { SharedData } from "./shared-data.ts";
import type { SharedQueues } from "./shared-queue.ts";
import type { Vm } from "./vm.ts";

export interface LogRecord {
  level: LogLevelName;
  message: string;
  contextId: number;
  thread: number;
  plugin: string;
}

export interface HostOptions {
  /** Number of worker threads; one VM each, besides the one of the main thread. */
  workers: number;
  logLevel: LogLevelName;
  /** Bytes that a paused stream may buffer before Envoy answers 413 itself (per_connection_buffer_limit_bytes). */
  bufferLimitBytes: number;
  /** Overwrite host memory given to the module with 0xDD once the callback that received it has returned. */
  poisonScratch: boolean;
  seed: number;
  epochMs: number;
  environmentVariables: Readonly<Record<string, string>>;
}

export interface Environment {
  readonly options: HostOptions;
  readonly clock: VirtualClock;
  readonly random: () => number;
  readonly faults: Faults;
  readonly metrics: Metrics;
  readonly sharedData: SharedData;
  readonly sharedQueues: SharedQueues;
  readonly callouts: Callouts;
  readonly foreign: Map<string, ForeignFunction>;
  log(context: Context, level: LogLevelName, message: string): void;
  rootProperty(context: RootContext, path: readonly string[]): Uint8Array | undefined;
  /** Runs `action` when the current step of the test has left every VM, like a post to a dispatcher. */
  post(action: () => void): void;
  /** proxy_done: ends the draining of a root context that answered false to proxy_on_done. */
  done(context: RootContext): number;
  /** The VM that a thread has for a VM key now. */
  localVm(key: string, thread: number): Vm | undefined;
  vmCreated(vm: Vm): void;
  vmFailed(vm: Vm): void;
}
