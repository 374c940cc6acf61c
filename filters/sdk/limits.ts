/** Every bound of the SDK in one place, with its reason. Sizes are bytes. */

/** Scratch arena for host-to-VM bytes. Two 64 KiB body windows, or all headers Envoy admits by default (60 KiB) twice. */
export const SCRATCH_ARENA: usize = 128 * 1024;

/** Allocations that do not fit the arena live on the heap until the outermost callback returns; together at most this much. */
export const SCRATCH_OVERFLOW: usize = 16 * 1024 * 1024;

/** Envoy refuses maps with more pairs when a module writes one. */
export const HEADER_MAP_PAIRS: u32 = 1024;

/** The same for maps of more bytes, serialised. */
export const HEADER_MAP_BYTES: i32 = 1024 * 1024;

/** A reused writer never keeps more than this between callbacks. */
export const WRITER_RETAINED: u32 = 64 * 1024;

/** Pooled stream contexts a root keeps for reuse; more are left to the collector after a burst. */
export const CONTEXT_POOL: i32 = 4096;

/** Longest text the abort handler and `log.text` format, in UTF-16 units. */
export const LOG_TEXT: i32 = 2048;
