/**
 * Callbacks that every module exports: `export * from "../sdk/exports/lifecycle"` in the entry file.
 *
 * The other groups are exported one callback at a time, because an exported callback costs a VM entry per stream even when
 * it does nothing.
 */
import "../abort";
import { dispatcher } from "../dispatcher";
import { log } from "../hostcalls/log";
import { scratch } from "../scratch";

/** Marker only; the host looks for its name. */
export function proxy_abi_version_0_2_1(): void {}

/** The host's allocator. Not called `malloc`: Envoy would prefer that name, and other tools might link it by accident. */
export function proxy_on_memory_allocate(size: usize): usize {
  return scratch.allocate(size);
}

export function proxy_on_context_create(id: u32, parentId: u32): void {
  scratch.enter();
  dispatcher.create(id, parentId);
  scratch.leave();
}

export function proxy_on_vm_start(id: u32, size: i32): i32 {
  scratch.enter();
  const root = dispatcher.root(id);
  const ok = root !== null && root.onVmStart(size);
  scratch.leave();
  return ok ? 1 : 0;
}

export function proxy_on_configure(id: u32, size: i32): i32 {
  scratch.enter();
  log.refreshLevel();
  const root = dispatcher.root(id);
  const ok = root !== null && root.onConfigure(size);
  scratch.leave();
  // Parsing a configuration leaves garbage behind, and nothing is held on the stack here.
  __collect();
  return ok ? 1 : 0;
}

export function proxy_on_delete(id: u32): void {
  scratch.enter();
  dispatcher.remove(id);
  scratch.leave();
}
