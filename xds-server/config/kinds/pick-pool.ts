/** `pools` of an EndpointPicker: a service, which requests are meant, and by what one of its endpoints is picked. */
import { type Cursor, fail } from "../cursor.ts";
import type { PickerPool, PickerSubset, PickPolicy, PickShed, PrefixAffinity } from "../endpoint-picker-model.ts";
import {
  distinct,
  extended,
  list,
  object,
  optional,
  positionOf,
  type Reader,
  required,
  withDefault,
} from "../reader.ts";
import { boolean, integer, oneOf, text } from "../scalars.ts";
import { decimal } from "./decimal.ts";
import { match } from "./llm-match.ts";
import { type Declared, IDENTIFIER, IDENTIFIER_RULE, memberName, requestHeader } from "./llm-names.ts";
import { exactHost, labels, portNumber } from "./metadata.ts";
import { DEFAULT_HASH, DEFAULT_KEY, pickHash, pickKey } from "./pick-key.ts";

const POLICIES = [
  "prefix-affinity",
  "consistent-hash",
  "round-robin",
  "random",
  "least-request",
  "least-response-time",
  "weighted-round-robin",
] as const satisfies readonly PickPolicy[];

/** Fields that only some policies look at. */
const POLICY_FIELDS = {
  key: ["consistent-hash"],
  hash: ["consistent-hash"],
  bound: ["consistent-hash", "prefix-affinity"],
  leastInflight: ["consistent-hash", "prefix-affinity"],
  affinity: ["prefix-affinity"],
} as const satisfies { readonly [K in keyof PickerPool]?: readonly PickPolicy[] };

type PolicyField = keyof typeof POLICY_FIELDS;

const DEFAULT_AFFINITY: PrefixAffinity = {
  threshold: 0.5,
  slackTokens: 1_024,
  queueTokens: 40_000,
  requestTokens: 64,
  prefixTokens: 256,
};
const DEFAULTS = { bound: 2, leastInflight: 24 };

const tokens = integer({ min: 0, max: 100_000_000 });
const MAX_PART_TOKENS = 1_000_000;

const affinity = object<PrefixAffinity>({
  threshold: withDefault(decimal({ min: 0, max: 1, decimals: 6 }), DEFAULT_AFFINITY.threshold),
  slackTokens: withDefault(tokens, DEFAULT_AFFINITY.slackTokens),
  queueTokens: withDefault(tokens, DEFAULT_AFFINITY.queueTokens),
  requestTokens: withDefault(integer({ min: 0, max: MAX_PART_TOKENS }), DEFAULT_AFFINITY.requestTokens),
  prefixTokens: withDefault(integer({ min: 1, max: MAX_PART_TOKENS }), DEFAULT_AFFINITY.prefixTokens),
});

const headerValue = text({ max: 256, pattern: /^[\x20-\x7e]+$/, what: "visible ASCII or spaces" });

const shed = object<PickShed>({
  header: required(requestHeader),
  values: required(list(headerValue, { min: 1, max: 64 })),
  waiting: withDefault(integer({ min: 1, max: 10_000 }), 5),
  kvPercent: withDefault(integer({ min: 1, max: 100 }), 80),
});

const subsetFields = object<PickerSubset>({
  name: optional(text({ max: 63 })),
  labels: optional(labels),
  header: optional(requestHeader),
  metadata: optional(boolean),
});

const subset: Reader<PickerSubset> = (cursor) => {
  const value = subsetFields(cursor);
  if (value === undefined || value.name === undefined || value.labels === undefined) return value;
  const at = { ...cursor, position: positionOf(value, "labels") };
  return fail(
    at,
    "TM_CONFIG_CONFLICT",
    "has name and labels",
    "Remove one of them; a subset's labels are in its DestinationRule.",
  );
};

function fields(declared: Declared): Reader<PickerPool> {
  return object<PickerPool>({
    name: required(text({ max: 64, pattern: IDENTIFIER, what: IDENTIFIER_RULE })),
    host: required(exactHost),
    port: optional(portNumber),
    subset: optional(subset),
    targets: optional(list(memberName, { min: 1, max: 64 })),
    match: optional(match(declared)),
    policy: withDefault(oneOf(POLICIES), "prefix-affinity"),
    key: optional(pickKey),
    hash: optional(pickHash),
    bound: optional(decimal({ min: 1, max: 10, decimals: 3 })),
    leastInflight: optional(integer({ min: 1, max: 1_000 })),
    affinity: optional(affinity),
    maxInflight: optional(integer({ min: 1, max: 100_000 })),
    slowStartMs: withDefault(integer({ min: 0, max: 3_600_000 }), 0),
    loraAffinity: withDefault(boolean, false),
    preferLocality: withDefault(boolean, false),
    orca: withDefault(boolean, false),
    onNone: withDefault(oneOf(["fallback", "refuse"]), "fallback"),
    shed: optional(shed),
  });
}

function pool(declared: Declared): Reader<PickerPool> {
  const read = fields(declared);
  return (cursor) => {
    const value = read(cursor);
    if (value === undefined || !policyFieldsFit(cursor, value)) return undefined;
    const of = <K extends PolicyField>(field: K, fallback: NonNullable<PickerPool[K]>): PickerPool[K] =>
      appliesTo(field, value.policy) ? (value[field] ?? fallback) : undefined;
    return extended(value, {
      key: of("key", DEFAULT_KEY),
      hash: of("hash", DEFAULT_HASH),
      bound: of("bound", DEFAULTS.bound),
      leastInflight: of("leastInflight", DEFAULTS.leastInflight),
      affinity: of("affinity", DEFAULT_AFFINITY),
    });
  };
}

function appliesTo(field: PolicyField, policy: PickPolicy): boolean {
  const policies: readonly PickPolicy[] = POLICY_FIELDS[field];
  return policies.includes(policy);
}

function policyFieldsFit(cursor: Cursor, value: PickerPool): boolean {
  const { policy } = value;
  const excess = (Object.keys(POLICY_FIELDS) as PolicyField[]).filter(
    (field) => value[field] !== undefined && !appliesTo(field, policy),
  );
  for (const field of excess) {
    const remedy = `Remove it, or use policy ${POLICY_FIELDS[field].join(" or ")}.`;
    const at = { ...cursor, position: positionOf(value, field) };
    fail(at, "TM_CONFIG_CONFLICT", `${field} has no effect with policy ${policy}`, remedy);
  }
  return excess.length === 0;
}

export function pickerPools(declared: Declared): Reader<readonly PickerPool[]> {
  return distinct(list(pool(declared), { min: 1, max: 32 }), "name", "pool");
}
