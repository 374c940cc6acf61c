/** Configuration: files -> typed model, all errors at once. */

export { DocumentMemo } from "./config-documents.ts";
export { type ConfigError, formatError } from "./diagnostics.ts";
export { documentId } from "./document-id.ts";
export { readConfigFiles } from "./folder.ts";
export { KINDS_SERVED, type Kind } from "./kind-registry.ts";
export type { Endpoint, Model, ServiceEntry } from "./model.ts";
export { type ParseResult, parseConfig, type SourceDocument, type SourceFile } from "./parse.ts";
export { type FolderWatcher, type WatcherOptions, watchFolder } from "./watcher.ts";
