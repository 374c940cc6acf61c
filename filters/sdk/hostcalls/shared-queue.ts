import { Status } from "../abi";
import { Bytes } from "../bytes";
import { OUT, OUT2, takeBytes } from "./out";

@external("env", "proxy_register_shared_queue")
declare function proxy_register_shared_queue(name: usize, nameSize: i32, id: usize): i32;

@external("env", "proxy_resolve_shared_queue")
declare function proxy_resolve_shared_queue(vm: usize, vmSize: i32, name: usize, nameSize: i32, id: usize): i32;

@external("env", "proxy_enqueue_shared_queue")
declare function proxy_enqueue_shared_queue(id: u32, data: usize, size: i32): i32;

@external("env", "proxy_dequeue_shared_queue")
declare function proxy_dequeue_shared_queue(id: u32, data: usize, size: usize): i32;

/** Queues shared by all VMs with the same vm_id in one Envoy. They have no bound, and nothing removes them or what lies in them: use a fixed set of names, and put in only what somebody takes out. */
export namespace sharedQueue {
  /**
   * Registers the calling root for `onQueueReady`; the id is in `lastId()`. Registering again returns the same id. Only the root that registered a name last is called, for each item once: for news to
   * every worker each needs a name of its own. Behind a trap, the root that has the place of the old one in the new VM is called.
   */
  export function register(name: Bytes): Status {
    return proxy_register_shared_queue(name.ptr, name.len, OUT);
  }

  export function resolve(vmId: Bytes, name: Bytes): Status {
    return proxy_resolve_shared_queue(vmId.ptr, vmId.len, name.ptr, name.len, OUT);
  }

  /** Queue id of the last successful `register` or `resolve`. */
  @inline
  export function lastId(): u32 {
    return load<u32>(OUT);
  }

  export function enqueue(id: u32, data: Bytes): Status {
    return proxy_enqueue_shared_queue(id, data.ptr, data.len);
  }

  /** `Empty` when nothing is waiting. Another VM may have taken the element that `onQueueReady` announced. */
  export function dequeue(id: u32, into: Bytes): Status {
    const status = proxy_dequeue_shared_queue(id, OUT, OUT2);
    if (status == Status.Ok) takeBytes(into);
    else into.clear();
    return status;
  }
}
