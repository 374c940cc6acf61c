/** Texts of all files -> one Model, or every error of every file. Pure: no I/O. */
import { rootCursor } from "./cursor.ts";
import { type ConfigError, Diagnostics } from "./diagnostics.ts";
import { fullName } from "./gateway-scope.ts";
import { damageAll, type ModelParts, readDocument } from "./kind-registry.ts";
import { checkLinks } from "./link.ts";
import type { Metadata, Model } from "./model.ts";
import { unusedDocuments } from "./unused.ts";
import { parseYamlFile } from "./yaml-file.ts";

export type ParseResult =
  | { readonly ok: true; readonly model: Model; readonly warnings: readonly ConfigError[] }
  | { readonly ok: false; readonly errors: readonly ConfigError[] };

/** A file's name (for positions) and its text. */
export interface SourceFile {
  readonly file: string;
  readonly text: string;
}

export function parseConfig(files: readonly SourceFile[]): ParseResult {
  const diagnostics = new Diagnostics();
  const parts: ModelParts = {
    gateways: [],
    serviceEntries: [],
    virtualServices: [],
    destinationRules: [],
    llmRouters: [],
    tokenRateLimits: [],
    endpointPickers: [],
    promptCaches: [],
    damaged: new Set(),
  };
  for (const { file, text } of files) {
    const yaml = parseYamlFile(file, text, diagnostics);
    if (yaml === undefined) damageAll(parts);
    else for (const document of yaml.documents) readDocument(rootCursor(document, yaml.context), parts);
  }
  checkLinks(parts, diagnostics);
  if (diagnostics.count > 0) return { ok: false, errors: diagnostics.sorted() };
  const model: Model = {
    gateways: parts.gateways.sort(byName),
    serviceEntries: parts.serviceEntries.sort(byName),
    virtualServices: parts.virtualServices.sort(byName),
    destinationRules: parts.destinationRules.sort(byName),
    llmRouters: parts.llmRouters.sort(byName),
    tokenRateLimits: parts.tokenRateLimits.sort(byName),
    endpointPickers: parts.endpointPickers.sort(byName),
    promptCaches: parts.promptCaches.sort(byName),
  };
  return { ok: true, model, warnings: [...unusedDocuments(model), ...diagnostics.sortedWarnings()] };
}

interface Named {
  readonly metadata: Metadata;
}

/** Byte order of namespace/name: the same on every machine, whatever the order of the files. */
function byName(a: Named, b: Named): number {
  const [x, y] = [fullName(a.metadata), fullName(b.metadata)];
  return x < y ? -1 : x > y ? 1 : 0;
}
