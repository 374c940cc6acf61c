/** `rules` of a PromptCache: which requests share answers, and for how long. */
import { isScalar } from "yaml";
import { fail } from "../cursor.ts";
import type { CachedRequests, CacheRule, PacedReplay, SimilarQuestions, SingleFlight } from "../prompt-cache-model.ts";
import type { KeyPart } from "../rate-limit-model.ts";
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
import { type Declared, IDENTIFIER, IDENTIFIER_RULE, requestHeader } from "./llm-names.ts";
import { key } from "./rate-limit-key.ts";
import { prices } from "./rate-limit-rates.ts";

const SECOND_MS = 1_000;
const HOUR_MS = 3_600_000;
const MOST_TTL_MS = 30 * 24 * HOUR_MS;

const DEFAULT_FLIGHT: SingleFlight = { waitMs: 60_000, live: false };
const DEFAULT_PACE: PacedReplay = { speed: 1, maxGapMs: 5_000 };
const DEFAULT_REQUESTS: CachedRequests = { temperature: "unset", tools: false, choices: false };
/** Headers that change what a model server answers. */
const DEFAULT_HEADERS = ["anthropic-version", "anthropic-beta", "openai-beta"];
const DEFAULT_KEY: readonly KeyPart[] = [
  {
    header: undefined,
    apiKey: true,
    claim: undefined,
    payloadKey: undefined,
    metadata: undefined,
    clientAddress: undefined,
    model: undefined,
    tenant: undefined,
    session: undefined,
    constant: undefined,
  },
];

/** How long an answer is kept. */
export const lifetime = integer({ min: SECOND_MS, max: MOST_TTL_MS });
const staleness = withDefault(integer({ min: 0, max: MOST_TTL_MS }), 0);

const cache = object<CachedRequests>({
  temperature: withDefault(oneOf(["zero", "unset", "any"]), DEFAULT_REQUESTS.temperature),
  tools: withDefault(boolean, false),
  choices: withDefault(boolean, false),
});

const flightFields = object<SingleFlight>({
  waitMs: withDefault(integer({ min: 1, max: 600_000 }), DEFAULT_FLIGHT.waitMs),
  live: withDefault(boolean, DEFAULT_FLIGHT.live),
});

/** `false` for none, `true` or an object for one. */
const singleFlight: Reader<SingleFlight | "none"> = (cursor) => {
  if (!isScalar(cursor.node)) return flightFields(cursor);
  const wanted = boolean(cursor);
  return wanted === undefined ? undefined : wanted ? DEFAULT_FLIGHT : "none";
};

const semanticFields = object<SimilarQuestions>({
  threshold: optional(decimal({ min: 0.5, max: 1, decimals: 3 })),
});

/** The same. */
const semantic: Reader<SimilarQuestions | "none"> = (cursor) => {
  if (!isScalar(cursor.node)) return semanticFields(cursor);
  const wanted = boolean(cursor);
  return wanted === undefined ? undefined : wanted ? { threshold: undefined } : "none";
};

const pacedFields = object<PacedReplay>({
  speed: withDefault(decimal({ min: 0.1, max: 100, decimals: 2 }), DEFAULT_PACE.speed),
  maxGapMs: withDefault(integer({ min: 0, max: 60_000 }), DEFAULT_PACE.maxGapMs),
});

/** The same. */
const paced: Reader<PacedReplay | "none"> = (cursor) => {
  if (!isScalar(cursor.node)) return pacedFields(cursor);
  const wanted = boolean(cursor);
  return wanted === undefined ? undefined : wanted ? DEFAULT_PACE : "none";
};

type Switched = "singleFlight" | "semantic" | "paced";
type Written = Omit<CacheRule, Switched> & {
  readonly singleFlight: SingleFlight | "none";
  readonly semantic: SimilarQuestions | "none";
  readonly paced: PacedReplay | "none";
};

function rule(declared: Declared): Reader<CacheRule> {
  const fields = object<Written>({
    name: required(text({ max: 64, pattern: IDENTIFIER, what: IDENTIFIER_RULE })),
    match: optional(match(declared)),
    key: withDefault(key(declared), DEFAULT_KEY),
    headers: withDefault(list(requestHeader, { max: 8 }), DEFAULT_HEADERS),
    missingKey: withDefault(oneOf(["bypass", "shared"]), "bypass"),
    ttlMs: withDefault(lifetime, HOUR_MS),
    staleWhileRevalidateMs: staleness,
    staleIfErrorMs: staleness,
    cache: withDefault(cache, DEFAULT_REQUESTS),
    transcode: withDefault(boolean, false),
    singleFlight: withDefault(singleFlight, DEFAULT_FLIGHT),
    semantic: withDefault(semantic, "none"),
    paced: withDefault(paced, "none"),
    clientControl: withDefault(boolean, true),
    showKey: withDefault(boolean, true),
    hitTokens: withDefault(integer({ min: 0, max: 100 }), 0),
    prices: optional(prices),
  });
  return (cursor) => {
    const value = fields(cursor);
    if (value === undefined) return undefined;
    const { singleFlight, semantic, paced } = value;
    return extended(value as Omit<Written, Switched>, {
      singleFlight: singleFlight === "none" ? undefined : singleFlight,
      semantic: semantic === "none" ? undefined : semantic,
      paced: paced === "none" ? undefined : paced,
    });
  };
}

/** Rules of different names, each of which some request may come to. */
export function cacheRules(declared: Declared): Reader<readonly CacheRule[]> {
  const read = distinct(list(rule(declared), { min: 1, max: 64 }), "name", "rule");
  return (cursor) => {
    const rules = read(cursor);
    const all = rules?.find((each) => each.match === undefined);
    const behind = all && rules?.[rules.indexOf(all) + 1];
    if (all === undefined || behind === undefined) return rules;
    const at = { ...cursor, position: positionOf(behind, "name") };
    const message = `rule ${behind.name} gets no requests: rule ${all.name} before it takes all`;
    return fail(at, "TM_CONFIG_CONFLICT", message, `Give ${all.name} a match, or put it last.`);
  };
}
