/** The functions of WASI preview 1 that mean something inside Envoy. Results are WASI errno values. */
import { type Hostcall, long, word } from "./hostcall.ts";

const success = 0;
const badFile = 8;
const fault = 21;
const notImplemented = 52;
const notSupported = 58;
const maxRandomBytes = 64 * 1024;

const environmentOf = (variables: Readonly<Record<string, string>>): Uint8Array[] =>
  Object.entries(variables).map(([name, value]) => new TextEncoder().encode(`${name}=${value}\0`));

export const wasiCalls: Record<string, Hostcall> = {
  fd_write(vm, context, args) {
    const [file, vectors, count] = [word(args, 0), word(args, 1), word(args, 2)];
    if (file !== 1 && file !== 2) return badFile;
    const parts: Uint8Array[] = [];
    for (let index = 0; index < count; index++) {
      const pointer = vm.memory.u32(vectors + index * 8);
      const size = vm.memory.u32(vectors + index * 8 + 4);
      const part = pointer === undefined || size === undefined ? undefined : vm.memory.view(pointer, size);
      if (!part) return fault;
      parts.push(part);
    }
    const bytes = Buffer.concat(parts);
    if (bytes.length > 0)
      vm.environment.log(context, file === 1 ? "info" : "error", bytes.toString("utf8").replace(/\n$/, ""));
    return vm.memory.setU32(word(args, 3), bytes.length) ? success : fault;
  },
  fd_read: () => notImplemented,
  fd_seek: () => success,
  fd_close: () => success,
  fd_fdstat_get: (_vm, _context, args) => (word(args, 0) === 1 || word(args, 0) === 2 ? success : badFile),
  environ_sizes_get(vm, _context, args) {
    const entries = environmentOf(vm.environment.options.environmentVariables);
    const size = entries.reduce((sum, { length }) => sum + length, 0);
    return vm.memory.setU32(word(args, 0), entries.length) && vm.memory.setU32(word(args, 1), size) ? success : fault;
  },
  environ_get(vm, _context, args) {
    let [table, text] = [word(args, 0), word(args, 1)];
    for (const entry of environmentOf(vm.environment.options.environmentVariables)) {
      if (!vm.memory.setU32(table, text) || !vm.memory.write(text, entry)) return fault;
      table += 4;
      text += entry.length;
    }
    return success;
  },
  args_sizes_get: (vm, _context, args) =>
    vm.memory.setU32(word(args, 0), 0) && vm.memory.setU32(word(args, 1), 0) ? success : fault,
  args_get: () => success,
  clock_time_get(vm, _context, args) {
    long(args, 1);
    const clock = word(args, 0);
    if (clock > 1) return notSupported;
    const { realtimeNs, monotonicNs } = vm.environment.clock;
    return vm.memory.setU64(word(args, 2), clock === 0 ? realtimeNs : monotonicNs) ? success : fault;
  },
  random_get(vm, _context, args) {
    const size = word(args, 1);
    if (size > maxRandomBytes) return 28; // EINVAL
    const bytes = vm.memory.view(word(args, 0), size);
    if (!bytes) return fault;
    for (let index = 0; index < size; index++) bytes[index] = Math.floor(vm.environment.random() * 256);
    return success;
  },
  // Envoy only logs it: the module goes on running.
  proc_exit(vm, context) {
    vm.environment.log(context, "error", "wasi_unstable proc_exit");
    return success;
  },
  path_open: () => 44, // ENOENT
  fd_prestat_get: () => badFile,
  fd_prestat_dir_name: () => badFile,
};
