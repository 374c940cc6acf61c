import { Status } from "../abi.ts";
import { type Hostcall, long, textAt, word, written } from "./hostcall.ts";

export const metricCalls: Record<string, Hostcall> = {
  proxy_define_metric(vm, _context, args) {
    const name = textAt(vm, args, 1);
    if (name === undefined) return Status.InvalidMemoryAccess;
    const id = vm.metrics.define(word(args, 0), name);
    return id === undefined ? Status.BadArgument : written(vm.memory.setU32(word(args, 3), id));
  },
  proxy_increment_metric: (vm, _context, args) => vm.metrics.increment(word(args, 0), long(args, 1)),
  proxy_record_metric: (vm, _context, args) => vm.metrics.record(word(args, 0), long(args, 1)),
  proxy_get_metric(vm, _context, args) {
    const value = vm.metrics.value(word(args, 0));
    return typeof value === "bigint" ? written(vm.memory.setU64(word(args, 1), value)) : value;
  },
};
