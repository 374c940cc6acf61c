import { Bytes } from "../bytes";
import { OUT, OUT2 } from "./out";

@external("wasi_snapshot_preview1", "environ_sizes_get")
declare function environ_sizes_get(count: usize, size: usize): i32;

@external("wasi_snapshot_preview1", "environ_get")
declare function environ_get(pointers: usize, text: usize): i32;

/** Environments beyond this are not looked at: an operator passes a few secrets, not a disk. */
const MAX_SIZE: u32 = 1 << 20;

export namespace environment {
  /**
   * Value of a variable that the operator passes to the VM (`vm_config.environment_variables`), or null. An owned copy, so it allocates:
   * for configuration, not for traffic. O(size of the environment). Reference: WASI preview 1.
   */
  export function get(name: Bytes): Bytes | null {
    if (environ_sizes_get(OUT, OUT2) != 0) return null;
    const count = load<u32>(OUT);
    const size = load<u32>(OUT2);
    if (count == 0 || count > MAX_SIZE || size > MAX_SIZE) return null;
    const pointers = heap.alloc(count * 4 + size);
    const text = pointers + <usize>count * 4;
    const found = environ_get(pointers, text) == 0 ? find(name, text, text + size) : null;
    heap.free(pointers);
    return found;
  }

  /** In `name=value` pairs, each ended by a zero byte. */
  function find(name: Bytes, from: usize, end: usize): Bytes | null {
    const entry = new Bytes();
    for (let at = from; at < end; ) {
      let stop = at;
      while (stop < end && load<u8>(stop) != 0) stop++;
      entry.set(at, <i32>(stop - at));
      if (entry.len > name.len && entry.startsWith(name) && entry.at(name.len) == 0x3d) {
        entry.set(at + <usize>name.len + 1, entry.len - name.len - 1);
        return entry.copy();
      }
      at = stop + 1;
    }
    return null;
  }
}
