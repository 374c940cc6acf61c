/** Defines a metric while the module is being instantiated, where only logging, time and randomness are allowed. */
import "../../../filters/sdk/abort";

// prettier-ignore
@external("env", "proxy_define_metric") declare function proxy_define_metric(type: i32, name: usize, nameSize: usize, id: usize): i32;

const OUT: usize = memory.data(8);
export const status = proxy_define_metric(0, OUT, 0, OUT);

export function proxy_abi_version_0_2_1(): void {}
export function proxy_on_memory_allocate(size: usize): usize {
  return heap.alloc(size);
}
