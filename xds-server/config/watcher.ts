/**
 * Calls back when something under a folder changed, once things are quiet. File events are only the fast path: they are lost on some
 * network file systems and when a symlink is swapped, so the folder is also compared as a whole every RESCAN_MS.
 */
import { type FSWatcher, watch as watchDirectory } from "node:fs";
import { watch } from "chokidar";
import { DEBOUNCE_MAX_MS, DEBOUNCE_QUIET_MS, RESCAN_MS } from "./limits.ts";

export interface WatcherOptions {
  readonly quietMs?: number;
  readonly maxMs?: number;
  readonly rescanMs?: number;
}

export interface FolderWatcher {
  close(): Promise<void>;
}

/** @param changed must be cheap when nothing changed: it is also called by the regular rescan */
export async function watchFolder(
  folder: string,
  changed: () => void,
  options: WatcherOptions = {},
): Promise<FolderWatcher> {
  const { quietMs = DEBOUNCE_QUIET_MS, maxMs = DEBOUNCE_MAX_MS, rescanMs = RESCAN_MS } = options;
  let timer: NodeJS.Timeout | undefined;
  let firstEvent: number | undefined;
  const fire = () => {
    firstEvent = undefined;
    changed();
  };
  const onEvent = () => {
    const now = performance.now();
    firstEvent ??= now;
    clearTimeout(timer);
    timer = setTimeout(fire, Math.max(0, Math.min(quietMs, firstEvent + maxMs - now)));
  };
  const watcher = watch(folder, { ignoreInitial: true, followSymlinks: true });
  watcher.on("all", onEvent);
  const direct = watchDirectly(folder, onEvent);
  // An error of the watcher leaves the rescan, which reports what it finds.
  watcher.on("error", () => {});
  await new Promise<void>((resolve) => watcher.once("ready", resolve));
  const rescan = setInterval(changed, rescanMs);
  rescan.unref();
  return {
    close: async () => {
      clearTimeout(timer);
      clearInterval(rescan);
      direct?.close();
      await watcher.close();
    },
  };
}

/**
 * The kernel's own events of the folder itself. chokidar compares what it saw of a file and misses some renames over it: without this, about
 * half of such changes waited for the rescan. A folder that is not there yet is left to the rescan.
 */
function watchDirectly(folder: string, onEvent: () => void): FSWatcher | undefined {
  try {
    return watchDirectory(folder, onEvent).on("error", () => {});
  } catch {
    return undefined;
  }
}
