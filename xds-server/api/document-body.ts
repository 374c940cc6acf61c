/**
 * The body of a request -> documents. YAML (one document or several), JSON (a document, an array of them, or `kind: List`), or `{"files": [{"file", "text"}]}`, which is
 * how the command line sends files so that errors have their names. Pure; what the documents say is judged elsewhere (config/).
 */
import { isScalar, visit } from "yaml";
import { Diagnostics } from "../config/diagnostics.ts";
import { parseYamlFile } from "../config/yaml-file.ts";
import { ApiError, refuseInvalid } from "./api-error.ts";
import { identityOf } from "./kind-paths.ts";
import { MAX_BATCH_DOCUMENTS, MAX_DOCUMENT_BYTES } from "./limits.ts";
import type { Identity, SourceText } from "./ports.ts";

export type DocumentValue = Readonly<Record<string, unknown>>;

export interface BodyDocument {
  readonly identity: Identity;
  readonly kind: string;
  /** `metadata.resourceVersion`: the version the sender has read. */
  readonly resourceVersion: string | undefined;
  /** Without what the server itself adds (see {@link bareDocument}). */
  readonly value: DocumentValue;
}

/** Where a document came from, in answers; never kept. */
export const ORIGIN_ANNOTATION = "tokenmesh.io/origin";
const SERVER_FIELDS = new Set([
  "resourceVersion",
  "uid",
  "generation",
  "creationTimestamp",
  "managedFields",
  "selfLink",
]);
const SERVER_ANNOTATIONS = new Set([ORIGIN_ANNOTATION, "kubectl.kubernetes.io/last-applied-configuration"]);

/** A body read: its documents, and the texts by which they are judged. */
export interface ReadBody {
  readonly documents: readonly BodyDocument[];
  /** As they were sent where that is possible, so that errors have their places; lists are taken apart. */
  readonly sources: readonly SourceText[];
}

/**
 * @param name what errors call a body that names no files
 * @throws ApiError TM_API_INVALID with every fault of syntax, TM_API_BAD_REQUEST, TM_API_TOO_LARGE
 */
export function readBody(body: string, name: string): ReadBody {
  const given = sourceTexts(body, name);
  const read = plainDocuments(given);
  const seen = new Set<Identity>();
  const documents = read.map(({ value, file }) => document(value, file));
  for (const { identity } of documents) {
    if (seen.has(identity)) throw new ApiError("TM_API_BAD_REQUEST", `${identity} is in the body twice`);
    seen.add(identity);
  }
  const sources = given.flatMap((source, index) => {
    const own = read.filter((each) => each.source === index);
    if (own.every(({ listed }) => !listed)) return own.length === 0 ? [] : [source];
    return own.map(({ value }) => ({ file: source.file, text: JSON.stringify(value, undefined, 2) }));
  });
  return { documents, sources };
}

function sourceTexts(body: string, name: string): readonly SourceText[] {
  const files = filesOf(body);
  if (files === undefined) return [{ file: name, text: body }];
  return files.map((each, index) => {
    const { file, text } = (isObject(each) ? each : {}) as Record<string, unknown>;
    if (typeof file !== "string" || typeof text !== "string" || file.length > 4_096)
      throw new ApiError("TM_API_BAD_REQUEST", `files[${index}] is not {"file", "text"}`);
    return { file, text };
  });
}

function filesOf(body: string): readonly unknown[] | undefined {
  if (!/^\s*\{\s*"files"\s*:/.test(body)) return undefined;
  try {
    const { files } = JSON.parse(body) as { files: unknown };
    return Array.isArray(files) ? files : undefined;
  } catch {
    throw new ApiError("TM_API_BAD_REQUEST", "the body is no JSON");
  }
}

interface PlainDocument {
  readonly value: DocumentValue;
  readonly file: string;
  /** Index of its text. */
  readonly source: number;
  /** It was an item of a list. */
  readonly listed: boolean;
}

/** The values of all texts, lists taken apart. @throws ApiError TM_API_INVALID, TM_API_BAD_REQUEST, TM_API_TOO_LARGE */
export function plainDocuments(sources: readonly SourceText[]): readonly PlainDocument[] {
  const diagnostics = new Diagnostics();
  const values: PlainDocument[] = [];
  for (const [source, { file, text }] of sources.entries()) {
    for (const parsed of parsedDocuments(file, text, diagnostics)) {
      const items = itemsOf(parsed);
      for (const value of items ?? [parsed]) {
        if (value === null || value === undefined) continue;
        if (!isObject(value)) throw new ApiError("TM_API_BAD_REQUEST", `${file}: a document is no mapping`);
        values.push({ value, file, source, listed: items !== undefined });
      }
      if (values.length > MAX_BATCH_DOCUMENTS)
        throw new ApiError("TM_API_TOO_LARGE", `more than ${MAX_BATCH_DOCUMENTS} documents at once`);
    }
  }
  refuseInvalid(diagnostics.sorted());
  return values;
}

function* parsedDocuments(file: string, text: string, diagnostics: Diagnostics): Generator<unknown> {
  const yaml = parseYamlFile(file, text, diagnostics);
  for (const parsed of yaml?.documents ?? []) {
    // A value is kept as plain data, in which a key that was written twice would not show any more.
    visit(parsed, {
      Map(_, map) {
        const keys = new Set<unknown>();
        for (const { key } of map.items) {
          const name = isScalar(key) ? key.value : key;
          const [offset = 0] = (isScalar(key) ? key.range : undefined) ?? [];
          const position = yaml?.context.lines.linePos(offset) ?? { line: 1, col: 1 };
          if (keys.has(name)) {
            const at = { file, line: position.line, column: position.col };
            diagnostics.add("TM_CONFIG_DUPLICATE_KEY", at, `${String(name).slice(0, 80)} stands here a second time`);
          }
          keys.add(name);
        }
      },
    });
    try {
      yield parsed.toJS();
    } catch {
      diagnostics.add("TM_CONFIG_TOO_COMPLEX", { file, line: 1, column: 1 }, "aliases expand to too much");
    }
  }
}

/** Of an array, or of `kind: List` (or `VirtualServiceList`); undefined for a document. */
function itemsOf(value: unknown): readonly unknown[] | undefined {
  if (Array.isArray(value)) return value;
  if (!isObject(value) || typeof value.kind !== "string" || !value.kind.endsWith("List")) return undefined;
  return Array.isArray(value.items) ? value.items : undefined;
}

function document(value: DocumentValue, file: string): BodyDocument {
  const metadata = isObject(value.metadata) ? value.metadata : {};
  const { kind } = value;
  const { name, namespace = "default", resourceVersion } = metadata;
  if (typeof kind !== "string" || typeof name !== "string" || typeof namespace !== "string")
    throw new ApiError("TM_API_BAD_REQUEST", `${file}: a document lacks kind or metadata.name`);
  if (Buffer.byteLength(JSON.stringify(value)) > MAX_DOCUMENT_BYTES)
    throw new ApiError("TM_API_TOO_LARGE", `${kind}/${namespace}/${name} has more than ${MAX_DOCUMENT_BYTES} bytes`);
  return {
    identity: identityOf(kind, namespace, name),
    kind,
    resourceVersion: typeof resourceVersion === "string" && resourceVersion !== "" ? resourceVersion : undefined,
    value: bareDocument(value),
  };
}

/** Without status, and without the metadata that a server adds: what is kept, and what two documents are compared by. */
export function bareDocument(value: DocumentValue): DocumentValue {
  const { status: _status, ...rest } = value;
  if (!isObject(value.metadata)) return rest;
  const metadata = Object.fromEntries(Object.entries(value.metadata).filter(([key]) => !SERVER_FIELDS.has(key)));
  if (isObject(metadata.annotations)) {
    const kept = Object.entries(metadata.annotations).filter(([key]) => !SERVER_ANNOTATIONS.has(key));
    if (kept.length > 0) metadata.annotations = Object.fromEntries(kept);
    else delete metadata.annotations;
  }
  return { ...rest, metadata };
}

/** Equal as documents: order of keys, what servers add, and the apiVersion apart, since all versions of a kind have the same fields. */
export function sameDocument(a: DocumentValue, b: DocumentValue): boolean {
  return canonical(compared(a)) === canonical(compared(b));
}

function compared(value: DocumentValue): unknown {
  const { apiVersion: _version, metadata, ...rest } = bareDocument(value);
  return { ...rest, metadata: { namespace: "default", ...(isObject(metadata) ? metadata : {}) } };
}

function canonical(value: unknown): string {
  return JSON.stringify(value, (_, each: unknown) =>
    isObject(each) ? Object.fromEntries(Object.entries(each).sort(([x], [y]) => (x < y ? -1 : 1))) : each,
  );
}

export function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
