/**
 * YAML text -> documents with positions. Nothing is turned into plain objects here (see cursor.ts). JSON files are read too: JSON is YAML.
 */
import { type Document, LineCounter, parseAllDocuments } from "yaml";
import { type FileContext, positionAt } from "./cursor.ts";
import type { Diagnostics } from "./diagnostics.ts";
import { MAX_ANCHORS, MAX_DEPTH, MAX_DOCUMENTS, MAX_FILE_BYTES } from "./limits.ts";

export interface YamlFile {
  readonly context: FileContext;
  readonly documents: readonly Document[];
}

/** The documents of a file; undefined (with all syntax errors recorded) when it is not valid YAML or too large. */
export function parseYamlFile(file: string, text: string, diagnostics: Diagnostics): YamlFile | undefined {
  const start = { file, line: 1, column: 1 };
  if (Buffer.byteLength(text) > MAX_FILE_BYTES) {
    diagnostics.add("TM_CONFIG_TOO_LARGE", start, `the file has more than ${MAX_FILE_BYTES} bytes`);
    return undefined;
  }
  const problem = costlyConstruct(text);
  if (problem !== undefined) {
    const { offset, what } = problem;
    const before = text.slice(0, offset).split("\n");
    const position = { file, line: before.length, column: (before.at(-1)?.length ?? 0) + 1 };
    diagnostics.add("TM_CONFIG_TOO_COMPLEX", position, what);
    return undefined;
  }
  const lines = new LineCounter();
  const context: FileContext = { file, lines, diagnostics, nodes: 0 };
  let documents: readonly Document[];
  try {
    // Keys are compared by the readers: the parser's own check takes time quadratic in the size of a mapping.
    const parsed = parseAllDocuments(text, {
      lineCounter: lines,
      prettyErrors: false,
      uniqueKeys: false,
      logLevel: "silent",
    });
    documents = Array.isArray(parsed) ? parsed : [];
  } catch (error) {
    // The parser is recursive: block nesting that passed the check above can still exhaust the stack.
    const what = error instanceof RangeError ? "nested too deeply" : "cannot be read";
    diagnostics.add("TM_CONFIG_TOO_COMPLEX", start, `the document is ${what}`);
    return undefined;
  }
  const before = diagnostics.count;
  for (const document of documents) {
    for (const { message, pos } of document.errors) {
      diagnostics.add("TM_CONFIG_SYNTAX", positionAt(context, pos[0]), withoutSource(message));
    }
  }
  return diagnostics.count > before ? undefined : { context, documents };
}

/** Some messages of the parser end with the text that stands there, and that may be a secret; the position says where to look. */
function withoutSource(message: string): string {
  return message
    .replace(
      /^(Not a YAML token|Unexpected [\w-]+ token in YAML (?:stream|document)|Block scalar header [^:]*): .*$/s,
      "$1",
    )
    .replaceAll("\n", " ")
    .slice(0, 300);
}

/**
 * What the YAML parser spends far more than linear time or memory on, found in one pass before it runs (measured on 1 MiB: 7 s and 1 GB for
 * nested brackets, 9 s for 30,000 anchors). Brackets and signs inside texts count too, which is harmless: no sane text holds that many.
 */
function costlyConstruct(text: string): { readonly offset: number; readonly what: string } | undefined {
  let depth = 0;
  for (let i = 0; i < text.length; i++) {
    const unit = text.charCodeAt(i);
    if (unit === 0x5b || unit === 0x7b) {
      depth++;
      if (depth > MAX_DEPTH) return { offset: i, what: `more than ${MAX_DEPTH} nested brackets` };
    } else if (unit === 0x5d || unit === 0x7d) depth = Math.max(0, depth - 1);
  }
  const nested = new RegExp(`(?:[-?:] +){${MAX_DEPTH}}`).exec(text);
  if (nested !== null) return { offset: nested.index, what: `more than ${MAX_DEPTH} nested entries in one line` };
  return tooMany(text, /^---/gm, MAX_DOCUMENTS, "documents") ?? tooMany(text, /&[^\s&]/g, MAX_ANCHORS, "anchors");
}

function tooMany(
  text: string,
  pattern: RegExp,
  max: number,
  what: string,
): { offset: number; what: string } | undefined {
  let count = 0;
  for (const { index } of text.matchAll(pattern)) {
    if (++count > max) return { offset: index, what: `more than ${max} ${what} in one file` };
  }
  return undefined;
}
