/** `service` of a TokenRateLimit, and what its rules may say because of it. */
import { type Cursor, fail } from "../cursor.ts";
import type { RateLimit, RateLimitRule, RateLimitService, RateLimits } from "../rate-limit-model.ts";
import { extended, object, optional, positionOf, type Reader, required, withDefault } from "../reader.ts";
import { boolean, integer, oneOf, text } from "../scalars.ts";

/** A request of all rules must fit into one call of the service. */
const MAX_LIMITS = 32;

const name = text({ max: 256 });

const fields = object<RateLimitService>({
  cluster: required(name),
  domain: withDefault(name, "tokenmesh"),
  protocol: withDefault(oneOf(["ledger", "envoy"]), "ledger"),
  timeoutMs: withDefault(integer({ min: 1, max: 10_000 }), 250),
  override: withDefault(boolean, true),
  refunds: optional(boolean),
});

export const rateLimitService: Reader<RateLimitService> = (cursor) => {
  const value = fields(cursor);
  if (value === undefined) return undefined;
  if (value.protocol === "envoy") return extended(value, { refunds: value.refunds ?? false });
  if (value.refunds === undefined) return value;
  const at = { ...cursor, position: positionOf(value, "refunds") };
  const message = "has refunds with protocol ledger, which gives back what was not used in its own way";
  return fail(at, "TM_CONFIG_CONFLICT", message, "Remove refunds, or use protocol envoy.");
};

/** Records what a service and the rules of one spec do not agree about. */
export function checkService(cursor: Cursor, spec: RateLimits): void {
  const { service, rules } = spec;
  const remote = rules.filter(({ mode }) => mode !== "local");
  if (service !== undefined && remote.length === 0) {
    const at = { ...cursor, position: positionOf(spec, "service") };
    fail(at, "TM_CONFIG_CONFLICT", "has service and no rule with mode strict or leased", "Remove service.");
  }
  const [first] = remote;
  if (service === undefined && first !== undefined) {
    const at = { ...cursor, position: positionOf(first, "mode") };
    const message = `mode ${first.mode} needs a service`;
    fail(at, "TM_CONFIG_MISSING_FIELD", message, "Add service, with the cluster of a Rate Limit Service.");
  }
  const limits = remote.reduce((sum, rule) => sum + rule.limits.length, 0);
  if (limits > MAX_LIMITS) {
    const at = { ...cursor, position: positionOf(spec, "rules") };
    const message = `rules with mode strict or leased have ${limits} limits, at most ${MAX_LIMITS} are allowed`;
    fail(at, "TM_CONFIG_INVALID_VALUE", message);
  }
  for (const [index, rule] of rules.entries()) {
    if (rule.mode === "local") continue;
    const path = `${cursor.path}.rules[${index}]`;
    for (const [place, limit] of rule.limits.entries()) {
      checkLimit({ ...cursor, path: `${path}.limits[${place}]` }, limit, rule, service?.override ?? true);
    }
  }
}

/** `override`: the amount and the window that hold are those of the limit, in so far as the protocol can say them. */
function checkLimit(cursor: Cursor, limit: RateLimit, { mode, limits }: RateLimitRule, override: boolean): void {
  const conflict = (field: keyof RateLimit, message: string, remedy: string) =>
    fail({ ...cursor, position: positionOf(limit, field) }, "TM_CONFIG_CONFLICT", message, remedy);
  const same = limits.slice(0, limits.indexOf(limit)).find(({ unit, per }) => unit === limit.unit && per === limit.per);
  if (same !== undefined) {
    const message = `a rule with mode ${mode} has two limits of ${limit.unit} per ${limit.per}`;
    fail({ ...cursor, position: positionOf(limit) }, "TM_CONFIG_DUPLICATE", message, "Remove one of them.");
  }
  if (limit.amountFrom !== undefined && !override) {
    const remedy = "Remove amountFrom, set override of the service, or use mode local.";
    conflict("amountFrom", "amountFrom has no effect without override: the service says the amounts", remedy);
  }
  if (mode === "strict" && !override) return;
  const remedy =
    mode === "leased"
      ? "Remove it, or use mode local."
      : "Remove it, use mode local, or unset override of the service.";
  const lacks = `mode ${mode} has windows of the calendar in UTC only`;
  if (limit.rolling) conflict("rolling", lacks, remedy);
  if (limit.timeZone !== undefined) conflict("timeZone", lacks, remedy);
}
