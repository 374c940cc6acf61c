/**
 * A place in a parsed YAML document: the node, its path for messages, and where errors go. Readers (reader.ts) walk cursors, not plain
 * objects, so every error knows its line and column, keys such as `__proto__` are just text, and the cost of aliases is counted.
 */
import { type Alias, type Document, isAlias, isNode, type LineCounter, type Node, visit as visitNodes } from "yaml";
import type { ErrorCode } from "../errors.ts";
import type { Diagnostics, Position } from "./diagnostics.ts";
import { MAX_NODES } from "./limits.ts";

/** What all cursors of one file share. */
export interface FileContext {
  readonly file: string;
  readonly lines: LineCounter;
  readonly diagnostics: Diagnostics;
  /** Nodes read so far. */
  nodes: number;
}

export interface Cursor {
  readonly context: FileContext;
  readonly document: Document;
  /** undefined for an empty value (`key:`). */
  readonly node: Node | undefined;
  /** `spec.http[0].match`, for messages. */
  readonly path: string;
  readonly position: Position;
}

export function rootCursor(document: Document, context: FileContext): Cursor {
  const position = positionAt(context, document.range?.[0] ?? 0);
  return follow({ context, document, node: undefined, path: "", position }, document.contents, "");
}

/** The cursor of a child; follows an alias to its anchor but keeps the alias' position. */
export function childCursor(parent: Cursor, value: unknown, segment: string): Cursor {
  const path = segment.startsWith("[") || parent.path === "" ? parent.path + segment : `${parent.path}.${segment}`;
  return follow(parent, value, path);
}

function follow(base: Cursor, value: unknown, path: string): Cursor {
  const node = isNode(value) ? value : undefined;
  const offset = node?.range?.[0];
  const position = offset === undefined ? base.position : positionAt(base.context, offset);
  const target = isAlias(node) ? anchorsOf(base.document).get(node) : node;
  return { ...base, node: target, path, position };
}

const anchors = new WeakMap<Document, ReadonlyMap<Alias, Node>>();

/** What every alias of a document stands for, found in one pass: the parser's own `resolve` walks the document for each alias. */
function anchorsOf(document: Document): ReadonlyMap<Alias, Node> {
  const known = anchors.get(document);
  if (known !== undefined) return known;
  const targets = new Map<Alias, Node>();
  const latest = new Map<string, Node>();
  visitNodes(document, {
    Node: (_key, node) => {
      if (isAlias(node)) {
        const target = latest.get(node.source);
        if (target !== undefined) targets.set(node, target);
      } else if (node.anchor !== undefined) latest.set(node.anchor, node);
    },
  });
  anchors.set(document, targets);
  return targets;
}

/** Counts a visit; false (with an error, once) when the document is too large. */
export function visit(cursor: Cursor): boolean {
  const { context } = cursor;
  context.nodes++;
  if (context.nodes <= MAX_NODES) return true;
  if (context.nodes !== Number.POSITIVE_INFINITY) {
    context.nodes = Number.POSITIVE_INFINITY;
    fail(cursor, "TM_CONFIG_TOO_COMPLEX", `the document expands to more than ${MAX_NODES} nodes`);
  }
  return false;
}

/** Records an error at the cursor and returns undefined, the value of every failed read. */
export function fail(cursor: Cursor, code: ErrorCode, message: string, remedy?: string): undefined {
  const text = cursor.path === "" ? message : `${cursor.path}: ${message}`;
  cursor.context.diagnostics.add(code, cursor.position, text, remedy);
  return undefined;
}

export function positionAt({ file, lines }: Pick<FileContext, "file" | "lines">, offset: number): Position {
  const { line, col } = lines.linePos(offset);
  return { file, line: Math.max(line, 1), column: Math.max(col, 1) };
}
