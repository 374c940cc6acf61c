import { charge, LimitUnit, TokenCounts } from "../lib/token-charge";
import { Bytes } from "../sdk";
import { AnswerMeta } from "../state/answer-entry";
import { CacheRule } from "./rule";

const counts = new TokenCounts();

/** What the upstream would have charged for the answer, in 1e-9 US dollar; 0 without prices. `model`: as the client named it. */
export function savedMoney(rule: CacheRule, model: Bytes, meta: AnswerMeta): i64 {
  const prices = rule.prices;
  if (prices === null) return 0;
  counts.set(knownTokens(meta.inputTokens), knownTokens(meta.cachedTokens), -1, knownTokens(meta.outputTokens), -1);
  const found = prices.find(model);
  return charge(LimitUnit.Money, counts, found === null ? prices.dearest : found);
}

/** -1 for those that are not known. */
export function knownTokens(stored: u32): i64 {
  return stored == u32.MAX_VALUE ? -1 : <i64>stored;
}

export function storedTokens(known: i64): u32 {
  return known < 0 ? u32.MAX_VALUE : <u32>min<i64>(known, u32.MAX_VALUE - 1);
}
