/**
 * Scratch arena: where the host puts bytes that it hands to the VM.
 *
 * The host asks for memory through `proxy_on_memory_allocate` inside a hostcall. A bump pointer answers in a few
 * instructions; everything is given back at once when the outermost callback ends. The obvious alternative, the
 * collector, grew to thousands of pages under load because it may only run with an unwound stack.
 *
 *   arena:    |used ........|free ................................|   SCRATCH_ARENA bytes
 *             base          base+used                             end
 *   overflow: block -> block -> 0      each block: |next: usize|size: usize|bytes ...|
 */
import { SCRATCH_ARENA, SCRATCH_OVERFLOW } from "./limits";

const base: usize = heap.alloc(SCRATCH_ARENA);
const HEADER: usize = 2 * sizeof<usize>();

let used: usize = 0;
let overflow: usize = 0;
let overflowBytes: usize = 0;
let depth: i32 = 0;

export namespace scratch {
  /** Another number in each outermost callback. */
  export let callback: u32 = 0;

  /** Called first in every export. Callbacks nest when the host re-enters (local replies); only the outermost one resets. */
  @inline
  export function enter(): void {
    depth++;
  }

  /** Called last in every export. After the outermost callback every borrowed view is invalid. */
  @inline
  export function leave(): void {
    if (--depth == 0) {
      callback++;
      used = 0;
      if (overflow != 0) releaseOverflow();
    }
  }

  /** Memory until the outermost callback returns, 8-byte aligned. 0 when the bound is reached: the hostcall then fails with a status. */
  export function allocate(size: usize): usize {
    const aligned = (size + 7) & ~7;
    if (aligned < size) return 0;
    if (aligned <= SCRATCH_ARENA - used) {
      const ptr = base + used;
      used += aligned;
      return ptr;
    }
    if (aligned > SCRATCH_OVERFLOW - overflowBytes) return 0;
    const block = heap.alloc(aligned + HEADER);
    store<usize>(block, overflow);
    store<usize>(block, aligned, sizeof<usize>());
    overflow = block;
    overflowBytes += aligned;
    return block + HEADER;
  }

  /** Position to go back to with `rewind`, for a loop that looks at one window after another. */
  @inline
  export function mark(): usize {
    return used;
  }

  /** Gives back arena bytes allocated since `mark()`; overflow blocks stay until the callback ends. */
  @inline
  export function rewind(position: usize): void {
    used = position;
  }
}

function releaseOverflow(): void {
  let block = overflow;
  while (block != 0) {
    const next = load<usize>(block);
    heap.free(block);
    block = next;
  }
  overflow = 0;
  overflowBytes = 0;
}
