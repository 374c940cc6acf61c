/** Readers that the parts of an LLMRouter share, and what its parts know of each other while they are read. */
import { isMap, isScalar } from "yaml";
import { type Cursor, childCursor, fail } from "../cursor.ts";
import { isEmpty, type Reader } from "../reader.ts";
import { boolean, text } from "../scalars.ts";
import { closest } from "../spelling.ts";

const VISIBLE_ASCII = /^[\x21-\x7e]+$/;

/** Names of targets and rules. */
export const IDENTIFIER = /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/;
export const IDENTIFIER_RULE = "letters, digits, '.', '_' or '-', the first a letter or digit, at most 64";

/** A model as a request or an upstream names it. */
export const modelName = text({ max: 256 });

export const modelPattern: Reader<string> = (cursor) => {
  const value = modelName(cursor);
  if (value === undefined || !value.slice(0, -1).includes("*")) return value;
  return fail(
    cursor,
    "TM_CONFIG_INVALID_VALUE",
    `${JSON.stringify(value)} has a * before its end`,
    "Use an exact name, a prefix such as gpt-*, or * alone.",
  );
};

/** A value of the route header. */
export const routeName = text({
  max: 256,
  pattern: VISIBLE_ASCII,
  what: "visible ASCII without spaces (it becomes a header value)",
});

/** As {@link routeName}, in a target: a pool is named by its members, joined by `+`. */
export const memberName = text({
  max: 256,
  pattern: /^[\x21-\x2a\x2c-\x7e]+$/,
  what: "visible ASCII without spaces and + (it becomes a header value, in a pool joined to others by +)",
});

export const lowerHeader = text({
  max: 64,
  pattern: /^[a-z0-9-]+$/,
  what: "a header name of lower-case letters, digits and -",
});

/** What no request has any more when the filter reads it; a `stickyBy` has `header:` in front. */
const REMOVED_HEADER = /^(?:header:)?(x-llm-.*|x-gateway-destination-endpoint)$/;

/** Refuses a header that the filter removes from requests, where it is to be read from them. */
export function fromRequests(read: Reader<string>): Reader<string> {
  return (cursor) => {
    const value = read(cursor);
    const [, name] = REMOVED_HEADER.exec(value ?? "") ?? [];
    if (name === undefined) return value;
    return fail(
      cursor,
      "TM_CONFIG_INVALID_VALUE",
      `${name} is removed from every request before one is read`,
      "Choose another header, one that does not begin with x-llm-.",
    );
  };
}

/** A header that requests bring along. */
export const requestHeader = fromRequests(lowerHeader);

/** `true`: a part of a key is there. */
export const given: Reader<boolean> = (cursor) => {
  const value = boolean(cursor);
  if (value !== false) return value;
  return fail(cursor, "TM_CONFIG_INVALID_VALUE", "false means nothing here", "Write true, or remove this part.");
};

/** The beginning of a path. */
export const pathStart = text({
  max: 256,
  pattern: /^\/[\x21-\x7e]*$/,
  what: "a path that starts with / and is visible ASCII",
});

type TargetKind = "route" | "cluster";

/** What a spec declares, looked up before its parts are read: so that references are judged even where something else is wrong. */
export interface Declared {
  /** Kind by name; a kind that cannot be told is undefined. The whole is undefined when the names cannot be told. */
  readonly targets: ReadonlyMap<string, TargetKind | undefined> | undefined;
  readonly tenantHeader: boolean;
}

export function declaredBy(spec: Cursor): Declared {
  return { targets: declaredTargets(spec), tenantHeader: has(spec, "tenantHeader") };
}

/** Whether a mapping has a field with a value. */
export function has(cursor: Cursor, field: string): boolean {
  const { node } = cursor;
  return isMap(node) && node.has(field) && !isEmpty(childCursor(cursor, node.get(field, true), field));
}

function declaredTargets(spec: Cursor): Declared["targets"] {
  const targets = new Map<string, TargetKind | undefined>();
  if (!has(spec, "targets")) return targets;
  const { node } = spec;
  const map = childCursor(spec, isMap(node) ? node.get("targets", true) : undefined, "targets");
  if (!isMap(map.node)) return undefined;
  for (const { key, value } of map.node.items) {
    if (!isScalar(key)) continue;
    const target = childCursor(map, value, "");
    const [route, cluster] = [has(target, "route"), has(target, "cluster")];
    targets.set(String(key.value), route === cluster ? undefined : route ? "route" : "cluster");
  }
  return targets;
}

/** The name of one of the targets. */
export function targetName({ targets }: Declared): Reader<string> {
  const read = text({ max: 64, pattern: IDENTIFIER, what: IDENTIFIER_RULE });
  return (cursor) => {
    const name = read(cursor);
    if (name === undefined || targets === undefined || targets.has(name)) return name;
    const guess = closest(name, [...targets.keys()]);
    const remedy = guess === undefined ? "Add it under targets, or correct the name." : `Did you mean ${guess}?`;
    return fail(cursor, "TM_CONFIG_UNKNOWN_REFERENCE", `there is no target ${JSON.stringify(name)}`, remedy);
  };
}

/** Records that the tenant is needed where no header carries one. */
export function needsTenant<T>({ tenantHeader }: Declared, read: Reader<T>, applies: (value: T) => boolean): Reader<T> {
  return (cursor) => {
    const value = read(cursor);
    if (value === undefined || tenantHeader || !applies(value)) return value;
    return fail(
      cursor,
      "TM_CONFIG_MISSING_FIELD",
      "no header carries the tenant",
      "Add tenantHeader, the name of the header that carries it.",
    );
  };
}
