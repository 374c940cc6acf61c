/**
 * A plugin as Envoy runs it: one root context per thread and configuration. An update is tried in a canary VM first; when
 * it is taken, new streams use the new root and the old one is told to finish once its last stream has ended.
 */
import type { PluginIdentity, RootContext } from "./context.ts";
import { RootContext as Root } from "./context.ts";
import type { Vm } from "./vm.ts";

export type FailurePolicy = "FAIL_RELOAD" | "FAIL_CLOSED" | "FAIL_OPEN";

/** Root context of a plugin version on one thread, with the streams that hold on to it. */
export interface PluginHandle {
  readonly identity: PluginIdentity;
  vm: Vm;
  root: RootContext | undefined;
  loadedAtMs: number;
  streams: number;
  retired: boolean;
}

export type StartResult = { root: RootContext; error?: undefined } | { root?: undefined; error: string };

/** Creates, starts and configures a root context: on_context_create, on_vm_start (for every root), on_configure. */
export function startRoot(vm: Vm, identity: PluginIdentity): StartResult {
  const root = new Root(vm, vm.nextContextId(), identity);
  root.configuring = true;
  vm.call(root, "proxy_on_context_create", root.id, 0);
  root.configuring = false;
  root.created = true;
  const started = vm.call(root, "proxy_on_vm_start", root.id, vm.identity.configuration.length);
  vm.settle();
  if (vm.failure || started === 0) return { error: "Failed to start base Wasm" };
  root.configuring = true;
  const configured = vm.invoke(root, "proxy_on_configure", root.id, identity.configuration.length);
  root.configuring = false;
  if (vm.failure || configured === 0) return { error: "Failed to configure base Wasm plugin" };
  return { root };
}

/** Tells a root to finish; one that answers false stays until it calls proxy_done. */
export function retireRoot(root: RootContext, pending: Set<RootContext>): void {
  if (root.vm.invoke(root, "proxy_on_done", root.id) === 0) pending.add(root);
  else deleteRoot(root);
}

export function deleteRoot(root: RootContext): void {
  root.cancelTick?.();
  root.vm.invoke(root, "proxy_on_delete", root.id);
  root.vm.contexts.delete(root.id);
}
