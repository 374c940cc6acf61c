/** Texts of files -> documents, file by file. What a text says does not change, so it is read once for as long as it is there. */
import { rootCursor } from "./cursor.ts";
import { type ConfigError, Diagnostics, type Position } from "./diagnostics.ts";
import { damageAll, type ReadDocument, readDocument } from "./kind-registry.ts";
import { parseYamlFile } from "./yaml-file.ts";

/** A file's name (for positions) and its text. */
export interface SourceFile {
  readonly file: string;
  readonly text: string;
}

export interface FileDocument extends ReadDocument {
  readonly position: Position;
  /** What is wrong with it by itself. */
  readonly errors: readonly ConfigError[];
  readonly warnings: readonly ConfigError[];
  /** Its own part of the file. */
  readonly text: string;
}

interface ReadFile {
  readonly text: string;
  readonly documents: readonly FileDocument[];
}

/** Documents by file, kept from one configuration to the next: their values stay the same objects as long as the text does. */
export class DocumentMemo {
  readonly #below: DocumentMemo | undefined;
  #read = new Map<string, ReadFile>();
  #used = new Map<string, ReadFile>();

  /** @param below is asked for what is not here: a memo for trying something out */
  constructor(below?: DocumentMemo) {
    this.#below = below;
  }

  documentsOf({ file, text }: SourceFile): readonly FileDocument[] {
    const known = this.#find(file);
    const read = known?.text === text ? known : { text, documents: readFile(file, text) };
    this.#used.set(file, read);
    return read.documents;
  }

  #find(file: string): ReadFile | undefined {
    const own = this.#used.get(file) ?? this.#read.get(file);
    if (own !== undefined || this.#below === undefined) return own;
    return this.#below.#find(file);
  }

  /** Forgets the files that were not asked for since the last call. */
  sweep(): void {
    this.#read = this.#used;
    this.#used = new Map();
  }
}

function readFile(file: string, text: string): readonly FileDocument[] {
  const ofFile = new Diagnostics();
  const yaml = parseYamlFile(file, text, ofFile);
  if (yaml === undefined) {
    const position = { file, line: 1, column: 1 };
    return [{ id: undefined, addTo: damageAll, position, errors: ofFile.sorted(), warnings: [], text: "" }];
  }
  const documents: FileDocument[] = [];
  // The budget of nodes is the file's.
  let { nodes } = yaml.context;
  let overBudget: readonly ConfigError[] = [];
  for (const document of yaml.documents) {
    const diagnostics = new Diagnostics();
    const cursor = rootCursor(document, { ...yaml.context, diagnostics, nodes });
    const read = readDocument(cursor);
    nodes = cursor.context.nodes;
    if (read === undefined) continue;
    const { position } = cursor;
    const own = diagnostics.sorted();
    const [from = 0, , to = text.length] = document.range ?? [];
    documents.push({
      ...read,
      position,
      // Behind the end of the budget nothing is read, and only the first to notice says so.
      errors: own.length === 0 && nodes === Number.POSITIVE_INFINITY ? overBudget : own,
      warnings: diagnostics.sortedWarnings(),
      text: text.slice(from, to),
    });
    if (nodes === Number.POSITIVE_INFINITY && overBudget.length === 0) overBudget = own;
  }
  return documents;
}
