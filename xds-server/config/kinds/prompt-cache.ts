/** PromptCache: the configuration of filters/prompt-cache, checked here with the filter's own limits so that a mistake never reaches Envoy. */
import { isScalar } from "yaml";
import { type Cursor, fail } from "../cursor.ts";
import type { CacheRule, CacheService, PromptCacheSpec } from "../prompt-cache-model.ts";
import { extended, list, object, optional, positionOf, type Reader, required, withDefault } from "../reader.ts";
import { boolean, integer, text } from "../scalars.ts";
import { cacheRules, lifetime } from "./cache-rule.ts";
import { declaredBy } from "./llm-names.ts";
import { trafficFields } from "./llm-traffic.ts";

const KIB = 1_024;
const MIB = 1_024 * KIB;
const GIB = 1_024 * MIB;
const DEFAULT_ENTRY_BYTES = 256 * KIB;
/** Of one entry, at most one part in so many of the whole. */
const ENTRY_SHARE = 64;
const DEFAULT_SERVICE: CacheService = { timeoutMs: 50, ttlMs: 86_400_000 };
/** Members that no answer is without. */
const ASKED = [
  "model",
  "messages",
  "prompt",
  "input",
  "system",
  "instructions",
  "contents",
  "systemInstruction",
  "tools",
  "stream",
];

const secret = text({ max: 32, pattern: /^[0-9a-fA-F]{32}$/, what: "32 hexadecimal digits", secret: true });

const memberName = text({ max: 256 });

const ignored: Reader<string> = (cursor) => {
  const name = memberName(cursor);
  if (name === undefined || !ASKED.includes(name)) return name;
  const message = `${name} is what is asked, which has to be part of the key`;
  return fail(cursor, "TM_CONFIG_INVALID_VALUE", message, "Remove it from the list.");
};

const ignore: Reader<readonly string[]> = (cursor) => {
  const seen = new Set<string>();
  const once: Reader<string> = (entry) => {
    const name = ignored(entry);
    if (name === undefined) return undefined;
    if (seen.has(name)) return fail(entry, "TM_CONFIG_DUPLICATE", `member ${JSON.stringify(name)} is listed twice`);
    seen.add(name);
    return name;
  };
  return list(once, { max: 16 })(cursor);
};

const serviceFields = object<CacheService>({
  timeoutMs: withDefault(integer({ min: 1, max: 10_000 }), DEFAULT_SERVICE.timeoutMs),
  ttlMs: withDefault(lifetime, DEFAULT_SERVICE.ttlMs),
});

/** `false` for none, `true` or an object for one. */
const service: Reader<CacheService | "none"> = (cursor) => {
  if (!isScalar(cursor.node)) return serviceFields(cursor);
  const wanted = boolean(cursor);
  return wanted === undefined ? undefined : wanted ? DEFAULT_SERVICE : "none";
};

type Written = Omit<PromptCacheSpec, "maxEntryBytes" | "service"> & {
  readonly maxEntryBytes: number | undefined;
  readonly service: CacheService | "none";
};

/** The spec of a PromptCache. */
export const promptCacheSpec: Reader<PromptCacheSpec> = (cursor) => {
  const spec = object<Written>({
    ...trafficFields,
    rules: required(cacheRules(declaredBy(cursor))),
    maxBytes: withDefault(integer({ min: MIB, max: 4 * GIB }), 64 * MIB),
    maxEntryBytes: optional(integer({ min: 4 * KIB, max: 4 * MIB })),
    maxRecordingBytes: withDefault(integer({ min: MIB, max: 32 * MIB }), 16 * MIB),
    secret: optional(secret),
    ignore: optional(ignore),
    service: withDefault(service, "none"),
  })(cursor);
  if (spec === undefined) return undefined;
  const maxEntryBytes = entryBytes(cursor, spec);
  if (maxEntryBytes === undefined) return undefined;
  const { service: written } = spec;
  const similar = written === "none" ? spec.rules.find((rule) => rule.semantic !== undefined) : undefined;
  if (similar !== undefined) {
    const at = { ...cursor, position: positionOf(similar, "semantic") };
    const message = `rule ${similar.name} is to look for similar questions, and there is no service that knows them`;
    return fail(at, "TM_CONFIG_CONFLICT", message, "Set service to true, or remove semantic.");
  }
  const isAlive = ({ singleFlight }: CacheRule) => singleFlight?.live === true;
  const live = spec.rules.find((rule) => isAlive(rule) && (written === "none" || rule.hitTokens > 0));
  if (live !== undefined) {
    const at = { ...cursor, position: positionOf(live, "singleFlight") };
    const [why, remedy] =
      written === "none"
        ? ["there is no service where that is done", "Set service to true, or live to false."]
        : ["what is read along counts no tokens", "Remove hitTokens, or set live to false."];
    return fail(at, "TM_CONFIG_CONFLICT", `rule ${live.name} is to have streams read along, and ${why}`, remedy);
  }
  const paced = spec.rules.find((rule) => rule.paced !== undefined && (written === "none" || rule.hitTokens > 0));
  if (paced !== undefined) {
    const at = { ...cursor, position: positionOf(paced, "paced") };
    const [why, remedy] =
      written === "none"
        ? ["there is no service that does that", "Set service to true, or remove paced."]
        : ["what is given so counts no tokens", "Remove hitTokens, or paced."];
    return fail(at, "TM_CONFIG_CONFLICT", `rule ${paced.name} is to give streams as they came, and ${why}`, remedy);
  }
  return extended(spec as Omit<Written, "maxEntryBytes" | "service">, {
    maxEntryBytes,
    service: written === "none" ? undefined : written,
  });
};

/** An entry has to find room in its set, whatever else is there. */
function entryBytes(cursor: Cursor, spec: Written): number | undefined {
  const { maxBytes, maxEntryBytes } = spec;
  const most = Math.floor(maxBytes / ENTRY_SHARE);
  if (maxEntryBytes === undefined) return Math.min(DEFAULT_ENTRY_BYTES, most);
  if (maxEntryBytes <= most) return maxEntryBytes;
  const at = { ...cursor, position: positionOf(spec, "maxEntryBytes") };
  const message = `${maxEntryBytes} is more than maxBytes / ${ENTRY_SHARE}, which is ${most}`;
  return fail(at, "TM_CONFIG_CONFLICT", message, "Lower it, or raise maxBytes.");
}
