/** Configuration: files -> typed model, all errors at once. */
export { type ConfigError, formatError } from "./diagnostics.ts";
export { readConfigFiles } from "./folder.ts";
export type { Model } from "./model.ts";
export { type ParseResult, parseConfig, type SourceFile } from "./parse.ts";
export { type FolderWatcher, type WatcherOptions, watchFolder } from "./watcher.ts";
