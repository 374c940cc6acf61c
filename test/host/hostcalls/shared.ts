/** Shared data and shared queues. */
import { Status } from "../abi.ts";
import { bytesAt, type Hostcall, textAt, word, written } from "./hostcall.ts";

export const sharedCalls: Record<string, Hostcall> = {
  proxy_get_shared_data(vm, _context, args) {
    const key = textAt(vm, args, 0);
    if (key === undefined) return Status.InvalidMemoryAccess;
    const entry = vm.environment.sharedData.get(vm.identity.vmId, key, vm.thread);
    if (!entry) return Status.NotFound;
    return written(vm.give(entry.value, word(args, 2), word(args, 3)) && vm.memory.setU32(word(args, 4), entry.cas));
  },
  proxy_set_shared_data(vm, _context, args) {
    const key = textAt(vm, args, 0);
    const value = bytesAt(vm, args, 2);
    if (key === undefined || !value) return Status.InvalidMemoryAccess;
    return vm.environment.sharedData.set(vm.identity.vmId, key, value, word(args, 4), vm.thread);
  },
  proxy_register_shared_queue(vm, context, args) {
    const name = textAt(vm, args, 0);
    if (name === undefined) return Status.InvalidMemoryAccess;
    const { environment, identity, thread } = vm;
    const { id } = context.root;
    const token = environment.sharedQueues.register(identity.vmId, name, (queue) => {
      // Thread, VM and context are looked up by their names then: a VM made anew hears what was meant for the one before.
      const tell = (): void => {
        const now = environment.localVm(identity.key, thread);
        const heir = now?.contexts.get(id);
        // Another worker's turn came in the middle of a callback: this one hears of it afterwards.
        if (now?.entered) now.onLeft(() => environment.post(tell));
        else if (heir) now?.invoke(heir, "proxy_on_queue_ready", id, queue);
      };
      environment.post(tell);
    });
    return written(vm.memory.setU32(word(args, 2), token));
  },
  proxy_resolve_shared_queue(vm, _context, args) {
    const vmId = textAt(vm, args, 0);
    const name = textAt(vm, args, 2);
    if (vmId === undefined || name === undefined) return Status.InvalidMemoryAccess;
    const token = vm.environment.sharedQueues.resolve(vmId === "" ? vm.identity.vmId : vmId, name);
    return token === 0 ? Status.NotFound : written(vm.memory.setU32(word(args, 4), token));
  },
  proxy_enqueue_shared_queue(vm, _context, args) {
    const item = bytesAt(vm, args, 1);
    return item ? vm.environment.sharedQueues.enqueue(word(args, 0), item) : Status.InvalidMemoryAccess;
  },
  proxy_dequeue_shared_queue(vm, _context, args) {
    const item = vm.environment.sharedQueues.dequeue(word(args, 0));
    return typeof item === "number" ? item : written(vm.give(item, word(args, 1), word(args, 2)));
  },
};
