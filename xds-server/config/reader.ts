/**
 * Readers turn a cursor into a typed value or record errors: "parse, don't validate". They are plain functions that are put together like the
 * schema they describe. A failed read is `undefined`; reading goes on, so that all errors of a document come out at once.
 */
import { isMap, isScalar, isSeq, type Pair } from "yaml";
import { type Cursor, childCursor, fail, visit } from "./cursor.ts";
import type { Position } from "./diagnostics.ts";
import { closest } from "./spelling.ts";

export type Reader<T> = (cursor: Cursor) => T | undefined;

/** How one field of an object is read. */
export interface Field<T> {
  readonly read: Reader<T>;
  readonly required: boolean;
  readonly fallback: T | undefined;
}

export function required<T>(read: Reader<T>): Field<T> {
  return { read, required: true, fallback: undefined };
}

export function optional<T>(read: Reader<T>): Field<T | undefined> {
  return { read, required: false, fallback: undefined };
}

export function withDefault<T>(read: Reader<T>, fallback: T): Field<T> {
  return { read, required: false, fallback };
}

/** Fields that the schema knows but that are not part of the value. */
export interface OtherFields {
  /** Accepted without effect: ignoring them is harmless here. */
  readonly ignored?: readonly string[];
  /** Refused, because ignoring them would change what traffic does; the text is the remedy. */
  readonly unsupported?: Readonly<Record<string, string>>;
}

type Fields<T> = { readonly [K in keyof T]: Field<T[K]> };

/** Where objects and their fields stand, for errors that are found after reading. */
const positions = new WeakMap<object, Place>();

/** Lists and not a map and a set: there is one for each of many thousand endpoints, which have one field or two. */
interface Place {
  readonly self: Position;
  /** Names of all fields that are in the file, and where they stand. */
  readonly names: readonly string[];
  readonly positions: readonly Position[];
  /** Names among them that have no value there, or that the schema does not know. */
  readonly unwritten: readonly string[];
}

const NOTHING: readonly never[] = [];

/**
 * Where a value that {@link object} has read stands, or one of its fields (the value's own position when the field is absent).
 * @throws Error for an object that was not read from a file
 */
export function positionOf(value: object, field?: string): Position {
  const { self, names, positions: places } = placeOf(value);
  return (field === undefined ? undefined : places[names.indexOf(field)]) ?? self;
}

/**
 * Whether a field of a value that {@link object} has read has a value in the file. If not, it has its default.
 * @throws Error for an object that was not read from a file
 */
export function isWritten(value: object, field: string): boolean {
  const { names, unwritten } = placeOf(value);
  return names.includes(field) && !unwritten.includes(field);
}

function placeOf(value: object): Place {
  const found = positions.get(value);
  if (found === undefined) throw new Error("value was not read from a file");
  return found;
}

/** The value, which a reader has put together itself, stands there. */
export function placed<T extends object>(value: T, self: Position): T {
  positions.set(value, { self, names: NOTHING, positions: NOTHING, unwritten: NOTHING });
  return value;
}

/** The value with further fields; it stands where the value stands. */
export function extended<T extends object, U extends object>(value: T, more: U): T & U {
  const result = { ...value, ...more };
  const found = positions.get(value);
  if (found !== undefined) positions.set(result, found);
  return result;
}

/** Reads a mapping with known fields. A mapping with any error reads as undefined. */
export function object<T extends object>(fields: Fields<T>, other: OtherFields = {}): Reader<T> {
  const names = Object.keys(fields) as (keyof T & string)[];
  const known = [...names, ...(other.ignored ?? []), ...Object.keys(other.unsupported ?? {})];
  return (cursor) => {
    const entries = mapEntries(cursor, "a mapping");
    if (entries === undefined) return undefined;
    const errorsBefore = cursor.context.diagnostics.count;
    const result: Partial<T> = {};
    let unwritten: string[] | undefined;
    for (const { key, keyCursor, value } of entries) {
      const name = names.find((each) => each === key);
      // `field:` without a value is an absent field, as in Kubernetes.
      if (name === undefined || isEmpty(value)) {
        unwritten ??= [];
        unwritten.push(key);
      }
      if (name !== undefined) {
        if (isEmpty(value)) continue;
        const read = fields[name].read(value);
        if (read !== undefined) result[name] = read;
      } else if (other.unsupported !== undefined && Object.hasOwn(other.unsupported, key)) {
        fail(keyCursor, "TM_CONFIG_UNSUPPORTED", "this server does not implement this field", other.unsupported[key]);
      } else if (!other.ignored?.includes(key)) {
        const guess = closest(key, known);
        fail(
          keyCursor,
          "TM_CONFIG_UNKNOWN_FIELD",
          "unknown field",
          guess === undefined ? undefined : `Did you mean ${guess}?`,
        );
      }
    }
    for (const name of names) {
      if (result[name] !== undefined) continue;
      const { required: needed, fallback } = fields[name];
      const present = entries.some(({ key, value }) => key === name && !isEmpty(value));
      if (needed && !present) fail(cursor, "TM_CONFIG_MISSING_FIELD", `field ${name} is missing`, `Add ${name}.`);
      (result as Record<string, unknown>)[name] = fallback;
    }
    if (cursor.context.diagnostics.count > errorsBefore) return undefined;
    positions.set(result, {
      self: cursor.position,
      names: entries.map(({ key }) => key),
      positions: entries.map(({ value }) => value.position),
      unwritten: unwritten ?? NOTHING,
    });
    return result as T;
  };
}

export interface MapBounds {
  readonly min?: number;
  readonly max?: number;
  /** What keys look like; without it every text is one. */
  readonly key?: { readonly pattern: RegExp; readonly what: string };
}

/** Reads a mapping from texts to values, in the order of the file. */
export function map<T>(
  read: Reader<T>,
  { min = 0, max = 1_024, key: keys }: MapBounds = {},
): Reader<ReadonlyMap<string, T>> {
  return (cursor) => {
    const entries = mapEntries(cursor, "a mapping");
    if (entries === undefined) return undefined;
    if (entries.length > max) return fail(cursor, "TM_CONFIG_INVALID_VALUE", `more than ${max} entries`);
    if (entries.length < min) return fail(cursor, "TM_CONFIG_INVALID_VALUE", tooFew(min));
    const errorsBefore = cursor.context.diagnostics.count;
    const result = new Map<string, T>();
    for (const { key, keyCursor, value } of entries) {
      if (keys !== undefined && !keys.pattern.test(key)) {
        fail(keyCursor, "TM_CONFIG_INVALID_VALUE", `${JSON.stringify(key.slice(0, 80))} is not ${keys.what}`);
      }
      const each = read(value);
      if (each !== undefined) result.set(key, each);
    }
    return cursor.context.diagnostics.count > errorsBefore ? undefined : result;
  };
}

export interface ListBounds {
  readonly min?: number;
  readonly max?: number;
}

/** Reads a sequence. */
export function list<T>(read: Reader<T>, { min = 0, max = 10_000 }: ListBounds = {}): Reader<readonly T[]> {
  return (cursor) => {
    if (!visit(cursor)) return undefined;
    const { node } = cursor;
    if (!isSeq(node)) return fail(cursor, "TM_CONFIG_WRONG_TYPE", `expected a list, not ${kindOf(cursor)}`);
    if (node.items.length < min) return fail(cursor, "TM_CONFIG_INVALID_VALUE", tooFew(min));
    if (node.items.length > max)
      return fail(cursor, "TM_CONFIG_INVALID_VALUE", `has ${node.items.length} entries, at most ${max} are allowed`);
    const errorsBefore = cursor.context.diagnostics.count;
    const result: T[] = [];
    for (const [index, item] of node.items.entries()) {
      const each = read(childCursor(cursor, item, `[${index}]`));
      if (each !== undefined) result.push(each);
    }
    return cursor.context.diagnostics.count > errorsBefore ? undefined : result;
  };
}

/** A list whose entries differ in one field; `what` names it in errors, which stand at the entry that repeats another. */
export function distinct<T extends object>(
  read: Reader<readonly T[]>,
  field: keyof T & string,
  what: string,
): Reader<readonly T[]> {
  return (cursor) => {
    const entries = read(cursor);
    if (entries === undefined) return undefined;
    const seen = new Set<unknown>();
    let repeated = false;
    for (const entry of entries) {
      const value = entry[field];
      if (seen.has(value)) {
        repeated = true;
        const at = { ...cursor, position: positionOf(entry, field) };
        fail(at, "TM_CONFIG_DUPLICATE", `${what} ${JSON.stringify(value)} is listed twice`);
      }
      seen.add(value);
    }
    return repeated ? undefined : entries;
  };
}

/** A mapping in which exactly one of some fields must be there. */
export function exactlyOne<T extends object>(read: Reader<T>, ...names: readonly (keyof T & string)[]): Reader<T> {
  return (cursor) => {
    const value = read(cursor);
    if (value === undefined) return undefined;
    const present = names.filter((name) => value[name] !== undefined);
    const remedy = `Use one of ${names.join(", ")}.`;
    if (present.length === 0) return fail(cursor, "TM_CONFIG_MISSING_FIELD", `has none of ${names.join(", ")}`, remedy);
    return present.length === 1 ? value : fail(cursor, "TM_CONFIG_CONFLICT", `has ${present.join(" and ")}`, remedy);
  };
}

function tooFew(min: number): string {
  return `needs at least ${min} ${min === 1 ? "entry" : "entries"}`;
}

export interface MapEntry {
  readonly key: string;
  /** At the key, for errors about the key itself. */
  readonly keyCursor: Cursor;
  readonly value: Cursor;
}

/** The entries of a mapping in their order; `expected` is what there should be, for the error. */
export function mapEntries(cursor: Cursor, expected: string): readonly MapEntry[] | undefined {
  if (!visit(cursor)) return undefined;
  if (!isMap(cursor.node)) return fail(cursor, "TM_CONFIG_WRONG_TYPE", `expected ${expected}, not ${kindOf(cursor)}`);
  const entries = new Map<string, MapEntry>();
  for (const pair of cursor.node.items) {
    const entry = mapEntry(cursor, pair);
    if (entry === undefined) continue;
    if (entries.has(entry.key)) fail(entry.keyCursor, "TM_CONFIG_DUPLICATE_KEY", "the key is there twice");
    entries.set(entry.key, entry);
  }
  return [...entries.values()];
}

function mapEntry(cursor: Cursor, pair: Pair): MapEntry | undefined {
  const at = childCursor(cursor, pair.key, "");
  if (!isScalar(pair.key)) return fail(at, "TM_CONFIG_WRONG_TYPE", "a key must be a text");
  const key = String(pair.key.value);
  const keyCursor = childCursor(cursor, pair.key, key);
  // An empty value has no place of its own: its errors stand at the key.
  return { key, keyCursor, value: childCursor({ ...cursor, position: keyCursor.position }, pair.value, key) };
}

/** `key:` or an explicit null. */
export function isEmpty({ node }: Cursor): boolean {
  return node === undefined || (isScalar(node) && node.value === null);
}

/** What stands at the cursor, for messages. */
export function kindOf(cursor: Cursor): string {
  const { node } = cursor;
  if (isMap(node)) return "a mapping";
  if (isSeq(node)) return "a list";
  if (isEmpty(cursor)) return "nothing";
  return isScalar(node) && typeof node.value === "string"
    ? "a text"
    : `a ${isScalar(node) ? typeof node.value : "value"}`;
}
