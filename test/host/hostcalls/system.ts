/** Logging, status, time, ticks, foreign functions and the two helpers of Emscripten. */
import { LogLevel, type LogLevelName, Status } from "../abi.ts";
import type { RootContext } from "../context.ts";
import { bytesAt, type Hostcall, textAt, word, written } from "./hostcall.ts";

const levels = Object.keys(LogLevel) as LogLevelName[];

function schedule(root: RootContext): void {
  root.cancelTick?.();
  root.cancelTick = undefined;
  if (root.tickPeriodMs === 0) return;
  root.cancelTick = root.vm.environment.clock.after(root.tickPeriodMs, () => {
    const { vm } = root;
    if (vm.contexts.get(root.id) !== root) return;
    vm.invoke(root, "proxy_on_tick", root.id);
    // Re-armed after the callback, with whatever period it left: a tick never overlaps itself.
    if (!vm.failure) schedule(root);
  });
}

export const systemCalls: Record<string, Hostcall> = {
  proxy_log(vm, context, args) {
    const level = levels[word(args, 0)];
    if (level === undefined) return Status.BadArgument;
    const bytes = bytesAt(vm, args, 1);
    if (!bytes) return Status.InvalidMemoryAccess;
    vm.environment.log(context, level, new TextDecoder().decode(bytes));
    return Status.Ok;
  },
  proxy_get_log_level: (vm, _context, args) =>
    written(vm.memory.setU32(word(args, 0), LogLevel[vm.environment.options.logLevel])),
  proxy_get_status(vm, context, args) {
    const { code, message } = context.root.status;
    if (!vm.memory.setU32(word(args, 0), code)) return Status.InvalidMemoryAccess;
    return written(vm.give(new TextEncoder().encode(message), word(args, 1), word(args, 2)));
  },
  proxy_set_tick_period_milliseconds(_vm, context, args) {
    context.root.tickPeriodMs = word(args, 0);
    schedule(context.root);
    return Status.Ok;
  },
  proxy_get_current_time_nanoseconds: (vm, _context, args) =>
    written(vm.memory.setU64(word(args, 0), vm.environment.clock.realtimeNs)),
  proxy_set_effective_context: (vm, _context, args) =>
    vm.setEffectiveContext(word(args, 0)) ? Status.Ok : Status.BadArgument,
  proxy_call_foreign_function(vm, context, args) {
    const name = textAt(vm, args, 0);
    const input = bytesAt(vm, args, 2);
    if (name === undefined || !input) return Status.InvalidMemoryAccess;
    const run = vm.environment.foreign.get(name);
    if (!run) return Status.NotFound;
    const { status, result = new Uint8Array() } = run(input.slice(), context);
    // Unlike every other call, the out parameters are written on failure too, and either may be 0 for "not wanted".
    const [pointerOut, sizeOut] = [word(args, 4), word(args, 5)];
    let pointer: number | undefined = 0;
    if (pointerOut !== 0 && result.length > 0) {
      pointer = vm.allocate(result.length);
      if (pointer === undefined) return Status.InvalidMemoryAccess;
      vm.memory.write(pointer, result);
    }
    if (pointerOut !== 0 && !vm.memory.setU32(pointerOut, pointer)) return Status.InvalidMemoryAccess;
    if (sizeOut !== 0 && !vm.memory.setU32(sizeOut, result.length)) return Status.InvalidMemoryAccess;
    return status;
  },
  envoy_resolve_dns: () => Status.Unimplemented,
  pthread_equal: (_vm, _context, args) => (word(args, 0) === word(args, 1) ? 1 : 0),
  emscripten_notify_memory_growth: () => 0,
};
