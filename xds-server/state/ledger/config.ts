/**
 * The ledger's configuration file: domains with patterns of descriptors and their limits. Read by the readers of the xDS server's configuration, so
 * errors come all at once, each with file, line and column.
 */
import { readFileSync } from "node:fs";
import { type Cursor, childCursor, fail, rootCursor } from "../../config/cursor.ts";
import { type ConfigError, Diagnostics } from "../../config/diagnostics.ts";
import { distinct, list, object, optional, type Reader, required, withDefault } from "../../config/reader.ts";
import { boolean, integer, oneOf, text } from "../../config/scalars.ts";
import { parseYamlFile } from "../../config/yaml-file.ts";
import { MAX_AMOUNT } from "./amounts.ts";
import { isTimeZone, PERIODS, type Period } from "./calendar.ts";

export interface LimitConfig {
  readonly amount: number;
  readonly per: Period;
  readonly rolling: boolean;
  readonly timeZone: string;
  readonly shadow: boolean;
}

/** One entry of a pattern: a key with any value, an exact value, or values with a prefix. */
export interface EntryPattern {
  readonly key: string;
  readonly value: string | undefined;
  readonly prefix: boolean;
}

/** `refuse`: what does not fit is not charged. `record`: it is charged all the same, and the answer says so. */
export type OverLimit = "refuse" | "record";

export interface DescriptorConfig {
  readonly name: string;
  readonly entries: readonly EntryPattern[];
  /** None only with `override`: then a descriptor without a limit is not limited. */
  readonly limits: readonly LimitConfig[];
  readonly overLimit: OverLimit;
  /** A limit in the request's descriptor replaces the configured ones. */
  readonly override: boolean;
  /** Keys whose values are shown and kept as a hash only. */
  readonly secret: readonly string[];
  /** Count in the usage table. */
  readonly usage: boolean;
}

export interface DomainConfig {
  readonly name: string;
  /** The first that matches counts. */
  readonly descriptors: readonly DescriptorConfig[];
  /** A descriptor that matches none of them is held to the limit that it brings. */
  readonly override: boolean;
}

export interface LedgerConfig {
  readonly domains: readonly DomainConfig[];
}

export type LedgerConfigResult =
  | { readonly ok: true; readonly config: LedgerConfig }
  | { readonly ok: false; readonly errors: readonly ConfigError[] };

/** Entries whose key begins like this steer the call and are not part of a budget's identity. */
export const CONTROL_PREFIX = "tokenmesh.";

const NAME = /^[A-Za-z0-9][A-Za-z0-9._/-]{0,127}$/;
const name = text({ max: 128, pattern: NAME, what: "letters, digits, '.', '_', '/' or '-'" });

const entryPattern: Reader<EntryPattern> = (cursor) => {
  const written = text({ max: 512 })(cursor);
  if (written === undefined) return undefined;
  const cut = written.indexOf("=");
  const key = cut < 0 ? written : written.slice(0, cut);
  const value = cut < 0 ? undefined : written.slice(cut + 1);
  if (key === "") return fail(cursor, "TM_CONFIG_INVALID_VALUE", "has no key before the =");
  if (key.startsWith(CONTROL_PREFIX)) {
    return fail(cursor, "TM_CONFIG_INVALID_VALUE", `${key} steers a call and is never part of a budget`);
  }
  if (value === undefined || value === "*") return { key, value: undefined, prefix: false };
  if (value.slice(0, -1).includes("*")) {
    return fail(cursor, "TM_CONFIG_INVALID_VALUE", `${JSON.stringify(value)} has a * before its end`);
  }
  return value.endsWith("*") ? { key, value: value.slice(0, -1), prefix: true } : { key, value, prefix: false };
};

const timeZone: Reader<string> = (cursor) => {
  const zone = text({ max: 64 })(cursor);
  if (zone === undefined || isTimeZone(zone)) return zone;
  const remedy = "Write Z, +hh:mm, -hh:mm, or an IANA name such as Europe/Berlin.";
  return fail(cursor, "TM_CONFIG_INVALID_VALUE", `${JSON.stringify(zone)} is no time zone`, remedy);
};

const readLimit = object<LimitConfig>({
  amount: required(integer({ min: 1, max: MAX_AMOUNT })),
  per: required(oneOf(PERIODS)),
  rolling: withDefault(boolean, false),
  timeZone: withDefault(timeZone, "Z"),
  shadow: withDefault(boolean, false),
});

const limit: Reader<LimitConfig> = (cursor) => {
  const value = readLimit(cursor);
  if (value === undefined || !value.rolling) return value;
  if (value.per === "month") {
    return fail(cursor, "TM_CONFIG_CONFLICT", "a month cannot be rolling", "Use a day, or a calendar month.");
  }
  if (value.timeZone === "Z") return value;
  return fail(cursor, "TM_CONFIG_CONFLICT", "a rolling period has no time zone", "Remove one of the two.");
};

/** Two limits that count the same thing would share one meter. */
const limits: Reader<readonly LimitConfig[]> = (cursor) => {
  const read = list(limit, { min: 1, max: 8 })(cursor);
  if (read === undefined) return undefined;
  const seen = new Set<string>();
  for (const { per, rolling, timeZone: zone } of read) {
    const same = `${per} ${rolling} ${zone}`;
    if (seen.has(same)) return twice(cursor, per);
    seen.add(same);
  }
  return read;
};

function twice(cursor: Cursor, per: Period): undefined {
  return fail(cursor, "TM_CONFIG_DUPLICATE", `two limits per ${per} count the same`, "Keep the smaller one.");
}

interface RawDescriptor extends Omit<DescriptorConfig, "name"> {
  readonly name: string | undefined;
}

/** Whether the mapping says `override: true`: then it need not say what it limits. */
function overrides(cursor: Cursor): boolean {
  const { node } = cursor;
  if (node === undefined || !("get" in node)) return false;
  const value = childCursor(cursor, node.get("override", true), "override").node;
  return value !== undefined && "value" in value && value.value === true;
}

const descriptorFields = {
  name: optional(name),
  entries: required(list(entryPattern, { min: 1, max: 16 })),
  overLimit: withDefault(oneOf(["refuse", "record"] as const), "refuse"),
  override: withDefault(boolean, false),
  secret: withDefault(list(text({ max: 256 }), { max: 16 }), []),
  usage: withDefault(boolean, true),
};
const limitedDescriptor = object<RawDescriptor>({ ...descriptorFields, limits: required(limits) });
const overriddenDescriptor = object<RawDescriptor>({ ...descriptorFields, limits: withDefault(limits, []) });

const descriptor: Reader<DescriptorConfig> = (cursor) => {
  const value = (overrides(cursor) ? overriddenDescriptor : limitedDescriptor)(cursor);
  if (value === undefined) return undefined;
  const missing = value.secret.find((key) => !value.entries.some((entry) => entry.key === key));
  if (missing !== undefined) {
    return fail(cursor, "TM_CONFIG_UNKNOWN_REFERENCE", `secret: no entry has the key ${JSON.stringify(missing)}`);
  }
  return { ...value, name: value.name ?? value.entries.map(({ key }) => key).join(".") };
};

const domainFields = {
  // The hash tag of its keys in Redis: no braces. Envoy's default names have dots, dashes and slashes.
  name: required(name),
  override: withDefault(boolean, false),
};
const limitedDomain = object<DomainConfig>({
  ...domainFields,
  descriptors: required(list(descriptor, { min: 1, max: 1_000 })),
});
const overriddenDomain = object<DomainConfig>({
  ...domainFields,
  descriptors: withDefault(list(descriptor, { max: 1_000 }), []),
});
const domain: Reader<DomainConfig> = (cursor) => (overrides(cursor) ? overriddenDomain : limitedDomain)(cursor);

const root = object<LedgerConfig>({
  domains: required(distinct(list(domain, { min: 1, max: 1_000 }), "name", "the domain")),
});

/** @param file name for the errors */
export function parseLedgerConfig(file: string, yaml: string): LedgerConfigResult {
  const diagnostics = new Diagnostics();
  const parsed = parseYamlFile(file, yaml, diagnostics);
  const [document, second] = parsed?.documents ?? [];
  let config: LedgerConfig | undefined;
  if (parsed !== undefined && document !== undefined) {
    const cursor = rootCursor(document, parsed.context);
    if (second !== undefined) fail(cursor, "TM_CONFIG_CONFLICT", "the file has more than one YAML document");
    config = root(cursor);
  } else if (parsed !== undefined) {
    diagnostics.add("TM_CONFIG_EMPTY", { file, line: 1, column: 1 }, "the file is empty", "Add domains.");
  }
  const errors = diagnostics.sorted();
  return config === undefined || errors.length > 0 ? { ok: false, errors } : { ok: true, config };
}

export function readLedgerConfig(file: string): LedgerConfigResult {
  let yaml: string;
  try {
    yaml = readFileSync(file, "utf8");
  } catch (error) {
    const diagnostics = new Diagnostics();
    const message = error instanceof Error ? error.message : String(error);
    diagnostics.add("TM_CONFIG_UNREADABLE", { file, line: 1, column: 1 }, message);
    return { ok: false, errors: diagnostics.sorted() };
  }
  return parseLedgerConfig(file, yaml);
}
