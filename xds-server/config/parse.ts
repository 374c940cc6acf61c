/** Texts of all files -> one Model, or every error of every file. Pure: no I/O. */
import { DocumentMemo, type FileDocument, type SourceFile } from "./config-documents.ts";
import { type ConfigError, Diagnostics } from "./diagnostics.ts";
import { fullName } from "./gateway-scope.ts";
import { emptyParts, type ModelParts } from "./kind-registry.ts";
import { checkLinks } from "./link.ts";
import type { Metadata, Model } from "./model.ts";
import { unusedDocuments } from "./unused.ts";

export type { SourceFile } from "./config-documents.ts";

/** A document that is part of a configuration. */
export interface SourceDocument {
  /** `KIND/namespace/name` */
  readonly id: string;
  readonly file: string;
  readonly line: number;
  readonly text: string;
}

export type ParseResult =
  | {
      readonly ok: true;
      readonly model: Model;
      readonly warnings: readonly ConfigError[];
      /** By id. */
      readonly documents: ReadonlyMap<string, SourceDocument>;
    }
  | { readonly ok: false; readonly errors: readonly ConfigError[]; readonly warnings: readonly ConfigError[] };

export interface ParseOptions {
  /** Files whose documents take the place of those of the same kind and name in `files`; a later list wins over an earlier one. */
  readonly over?: readonly (readonly SourceFile[])[];
  /** Keeps what was read of files that stay as they are. */
  readonly memo?: DocumentMemo;
}

export function parseConfig(files: readonly SourceFile[], options: ParseOptions = {}): ParseResult {
  const { over = [], memo = new DocumentMemo() } = options;
  const diagnostics = new Diagnostics();
  const parts = emptyParts();
  const used = usedDocuments(
    [files, ...over].map((layer) => layer.flatMap((file) => memo.documentsOf(file))),
    diagnostics,
  );
  for (const document of used) {
    diagnostics.include(document);
    document.addTo(parts);
  }
  checkLinks(parts, diagnostics);
  const warnings = diagnostics.sortedWarnings();
  if (diagnostics.count > 0) return { ok: false, errors: diagnostics.sorted(), warnings };
  const model = sortedModel(parts);
  return {
    ok: true,
    model,
    warnings: [...unusedDocuments(model), ...warnings],
    documents: new Map(used.flatMap((each) => sourceOf(each))),
  };
}

/** Of every layer what no later one has. A document of the first that another layer has is worth a warning: its file says something else. */
function usedDocuments(
  layers: readonly (readonly FileDocument[])[],
  diagnostics: Diagnostics,
): readonly FileDocument[] {
  const taken = new Map<string, FileDocument>();
  const used: FileDocument[] = [];
  for (const [index, layer] of [...layers.entries()].reverse()) {
    for (const document of layer) {
      const winner = document.id === undefined ? undefined : taken.get(document.id);
      if (winner === undefined) used.push(document);
      else if (index === 0) {
        const message = `${document.id} has no effect here: ${winner.position.file} has it too`;
        diagnostics.warn("TM_CONFIG_OVERRIDDEN", document.position, message);
      }
    }
    for (const document of layer) {
      if (document.id !== undefined && !taken.has(document.id)) taken.set(document.id, document);
    }
  }
  return used;
}

function sourceOf({ id, position, text }: FileDocument): readonly (readonly [string, SourceDocument])[] {
  return id === undefined ? [] : [[id, { id, file: position.file, line: position.line, text }]];
}

function sortedModel({ damaged: _damaged, ...lists }: ModelParts): Model {
  for (const list of Object.values<{ readonly metadata: Metadata }[]>(lists)) list.sort(byName);
  return lists;
}

/** Byte order of namespace/name: the same on every machine, whatever the order of the files. */
function byName(a: { readonly metadata: Metadata }, b: { readonly metadata: Metadata }): number {
  const [x, y] = [fullName(a.metadata), fullName(b.metadata)];
  return x < y ? -1 : x > y ? 1 : 0;
}
