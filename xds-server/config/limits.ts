/** Bounds on configuration input. A folder may be filled by other people's tools, so nothing in it is trusted. */

export const MAX_FILE_BYTES = 1024 * 1024;
export const MAX_FILES = 1_000;
export const MAX_TOTAL_BYTES = 16 * 1024 * 1024;
/** Levels of folders below the configuration folder. */
export const MAX_FOLDER_DEPTH = 8;

/** Nodes read per file, counted after aliases are followed: an alias bomb is cut here. */
export const MAX_NODES = 200_000;
/** Levels of nested brackets, and of nested entries in one line. No kind needs more than a dozen. */
export const MAX_DEPTH = 64;
/** Documents and anchors per file. */
export const MAX_DOCUMENTS = 5_000;
export const MAX_ANCHORS = 1_000;

/** Quiet time after the last change of the folder before it is read, and the longest a change waits, in milliseconds. */
export const DEBOUNCE_QUIET_MS = 100;
export const DEBOUNCE_MAX_MS = 2_000;
/** How often the folder is compared as a whole, for file systems and symlink swaps that do not report changes, in milliseconds. */
export const RESCAN_MS = 2_000;
