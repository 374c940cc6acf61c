/** Where a configuration comes from: the files of a folder, documents of the API over them, and over these what somebody proposes. */
import { contentHash } from "../cache/index.ts";
import {
  type ConfigError,
  DocumentMemo,
  type ParseResult,
  parseConfig,
  readConfigFiles,
  type SourceFile,
} from "../config/index.ts";
import { ERRORS } from "../errors.ts";
import type { DocumentOverlay, StoredDocument } from "./overlays.ts";

/** Beginning of the names under which errors know documents of the API. */
const STORED = "api:";

export interface Sources {
  readonly files: readonly SourceFile[];
  /** What kept files from being read. */
  readonly errors: readonly ConfigError[];
  readonly stored: ReadonlyMap<string, StoredDocument>;
}

/** A change that nobody has made yet. */
export interface Proposed {
  /** Texts with one or more documents, which take the place of those of the same kind, namespace and name. */
  readonly put?: readonly SourceFile[];
  /** `KIND/namespace/name` of documents of the API. What a file has under that name counts again. */
  readonly remove?: readonly string[];
  /** Nothing else counts: the texts are a whole configuration. */
  readonly only?: boolean;
}

/** Never throws. */
export function readSources(configDir: string, documents: DocumentOverlay | undefined): Sources {
  const { files, errors } = readConfigFiles([configDir]);
  return { files, errors, stored: documents?.documents() ?? new Map() };
}

/** Equal for sources that say the same. */
export function fingerprintOf({ files, errors, stored }: Sources): string {
  return contentHash(JSON.stringify([errors, files, [...stored].map(([id, { text }]) => [id, text])]));
}

export function parseSources(sources: Sources, memo: DocumentMemo): ParseResult {
  return parse(sources, [], memo);
}

/** As {@link parseSources} with the change; the memo is looked into and left as it is. */
export function parseProposed({ files, errors, stored }: Sources, proposed: Proposed, memo: DocumentMemo): ParseResult {
  const { put = [], remove = [], only = false } = proposed;
  const trial = new DocumentMemo(memo);
  if (only) return parseConfig(put, { memo: trial });
  const kept = new Map([...stored].filter(([id]) => !remove.includes(id)));
  return parse({ files, errors, stored: kept }, put, trial);
}

function parse({ files, errors, stored }: Sources, put: readonly SourceFile[], memo: DocumentMemo): ParseResult {
  if (errors.length > 0) return { ok: false, errors, warnings: [] };
  const documents = [...stored].map(([id, { text }]) => ({ file: STORED + id, text }));
  const result = parseConfig(files, { over: put.length > 0 ? [documents, put] : [documents], memo });
  const misplaced = documents.flatMap((each) => misplacedDocument(each, memo));
  if (misplaced.length === 0) return result;
  return { ok: false, errors: [...misplaced, ...(result.ok ? [] : result.errors)], warnings: result.warnings };
}

/** What is stored under a name must be the document of that name: the name is what it is read and removed by. */
function misplacedDocument(source: SourceFile, memo: DocumentMemo): readonly ConfigError[] {
  const documents = memo.documentsOf(source);
  const id = source.file.slice(STORED.length);
  // One without a name has errors of its own.
  if (documents.length === 1 && documents.every((each) => each.id === id || each.id === undefined)) return [];
  const message =
    documents.length === 1 ? `this is ${documents[0]?.id}` : `there are ${documents.length} documents here`;
  const { remedy } = ERRORS.TM_CONFIG_CONFLICT;
  return [{ code: "TM_CONFIG_CONFLICT", message, remedy, file: source.file, line: 1, column: 1 }];
}

/** The identity of a document of the API by the file of its errors; undefined for a file. */
export function storedId(file: string): string | undefined {
  return file.startsWith(STORED) ? file.slice(STORED.length) : undefined;
}
