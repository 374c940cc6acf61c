/**
 * From descriptors to budgets: which pattern matches, under which key the budget is stored, what its meters are at a moment.
 *
 * A budget is its domain and entries. The key holds 128 bits of a SHA-256 over them, the label the entries themselves (values of `secret` keys
 * as a hash), so what an operator sees and what Redis holds is decided by the configuration.
 */
import { createHash } from "node:crypto";
import { type Calendar, isTimeZone, PERIOD_MS, PERIODS, type Period } from "./calendar.ts";
import type { DescriptorConfig, DomainConfig, LedgerConfig, LimitConfig } from "./config.ts";
import { type MeterSpec, SIXTEENTHS } from "./meter.ts";
import { type Entry, type LimitOverride, UNIT } from "./protocol.ts";

/** What budgets of a domain with `override` that no pattern matches are called in metrics and answers. */
export const OVERRIDE_NAME = "override";

const OVERRIDDEN: DescriptorConfig = {
  name: OVERRIDE_NAME,
  entries: [],
  limits: [],
  overLimit: "refuse",
  override: true,
  secret: [],
  usage: true,
};

export interface Match {
  readonly domain: string;
  readonly descriptor: DescriptorConfig;
  readonly entries: readonly Entry[];
}

/** Patterns by domain and by the keys they want, so that a request is compared with those few that can match. */
export class Patterns {
  readonly #byKeys = new Map<string, Map<string, DescriptorConfig[]>>();
  readonly #overridden = new Set<string>();

  constructor({ domains }: LedgerConfig) {
    for (const { name, descriptors, override } of domains) {
      this.#byKeys.set(name, indexed(descriptors));
      if (override) this.#overridden.add(name);
    }
  }

  knows(domain: string): boolean {
    return this.#byKeys.has(domain);
  }

  /** The first pattern of the domain with these keys in this order whose values match; without one, what the domain's `override` allows. */
  find(domain: string, entries: readonly Entry[]): Match | undefined {
    const candidates = this.#byKeys.get(domain)?.get(keysOf(entries));
    const pattern = candidates?.find((candidate) => matches(candidate, entries));
    const descriptor = pattern ?? (this.#overridden.has(domain) && entries.length > 0 ? OVERRIDDEN : undefined);
    return descriptor === undefined ? undefined : { domain, descriptor, entries };
  }
}

const keysOf = (entries: readonly { readonly key: string }[]): string => entries.map(({ key }) => key).join("\n");

function indexed(descriptors: DomainConfig["descriptors"]): Map<string, DescriptorConfig[]> {
  const index = new Map<string, DescriptorConfig[]>();
  for (const descriptor of descriptors) {
    const keys = keysOf(descriptor.entries);
    index.set(keys, [...(index.get(keys) ?? []), descriptor]);
  }
  return index;
}

function matches({ entries: patterns }: DescriptorConfig, entries: readonly Entry[]): boolean {
  return patterns.every(({ value, prefix }, index) => {
    const actual = entries[index]?.value ?? "";
    return value === undefined || (prefix ? actual.startsWith(value) : actual === value);
  });
}

/** 128 bits as 22 characters. */
export function digest(text: string): string {
  return createHash("sha256").update(text).digest().subarray(0, 16).toString("base64url");
}

/** All keys of a domain share its hash tag: on a Redis cluster they are on one node, as one script needs them. */
export const keyPrefix = (domain: string): string => `{${domain}}:b:`;
export const answerKey = (domain: string, name: string): string => `{${domain}}:i:${digest(name)}`;
/** Of one settlement: the same id with other numbers, or of another budget, is another one. Ids are short as a rule and need no hash then. */
export function settlementKey(domain: string, budget: string, numbers: readonly number[], id: string): string {
  const short = id.length <= 64 ? `=${id}` : `#${digest(id)}`;
  return `{${domain}}:s:${budget.slice(keyPrefix(domain).length)}:${numbers.join(":")}${short}`;
}
/** One table per domain and UTC day. */
export const usageTable = (domain: string, day: string): string => `{${domain}}:u:${day}`;

export function budgetKey({ domain, entries }: Match): string {
  return keyPrefix(domain) + digest(JSON.stringify(entries.map(({ key, value }) => [key, value])));
}

/** `[key, value]` of each entry, as people may see them. */
export function shownEntries({ descriptor, entries }: Match): readonly (readonly [string, string])[] {
  return entries.map(({ key, value }) => [key, descriptor.secret.includes(key) ? `sha256:${digest(value)}` : value]);
}

/** A limit as it stands in answers. */
export interface NamedLimit {
  readonly amount: number;
  readonly unit: number;
  readonly config: LimitConfig;
  /** It came with the call. */
  readonly override: boolean;
}

const PERIOD_OF_UNIT = new Map<number, Period>((Object.keys(UNIT) as Period[]).map((period) => [UNIT[period], period]));

/**
 * The limits of a match. An override of the request, where the pattern allows it, stands in for all of them: a fixed window in UTC, as
 * envoyproxy/ratelimit has it. Undefined when its unit is none that the ledger counts in; empty when nothing limits the match.
 */
export function limitsOf(
  { descriptor }: Pick<Match, "descriptor">,
  override: LimitOverride | undefined,
): readonly NamedLimit[] | undefined {
  if (override === undefined || !descriptor.override) {
    return descriptor.limits.map((config) => ({
      amount: config.amount,
      unit: UNIT[config.per],
      config,
      override: false,
    }));
  }
  const per = PERIOD_OF_UNIT.get(override.unit);
  if (per === undefined || override.unitMultiplier > 1) return undefined;
  return [overrideOf(per, override.requestsPerUnit)];
}

/** An override: always a fixed window in UTC. */
export function overrideOf(per: Period, amount: number): NamedLimit {
  const config = { amount, per, rolling: false, timeZone: "Z", shadow: false };
  return { amount, unit: UNIT[per], config, override: true };
}

/**
 * The meter of a limit at a moment.
 * @param admittedAt time of the admission that is settled, ms since the epoch
 */
export function meterOf(
  calendar: Calendar,
  { amount, config, override }: NamedLimit,
  now: number,
  admittedAt?: number,
): MeterSpec {
  const { per, rolling, timeZone, shadow } = config;
  const at = admittedAt === undefined || admittedAt > now ? undefined : admittedAt;
  if (rolling) {
    const period = PERIOD_MS[per];
    const slot = (time: number) => Math.floor((time * SIXTEENTHS) / period);
    const admitted = at === undefined ? -1 : slot(at);
    return { field: fieldOf(config), amount, shadow, rolling, slot: slot(now), span: period, admitted, override };
  }
  const { start, end } = calendar.window(per, timeZone, now);
  const admitted = at === undefined ? -1 : at >= start ? start : calendar.window(per, timeZone, at).start;
  return { field: fieldOf(config), amount, shadow, rolling, slot: start, span: end - start, admitted, override };
}

/** Name of a limit's meter within its budget: `minute@Z`, `day@Europe/Berlin`, or `hour~` when it is rolling. */
export function fieldOf({ per, rolling, timeZone }: LimitConfig): string {
  return rolling ? `${per}~` : `${per}@${timeZone}`;
}

/** The kind of limit that a meter of this name counts; undefined for names that {@link fieldOf} does not give. */
export function kindOfField(field: string): Pick<LimitConfig, "per" | "rolling" | "timeZone"> | undefined {
  const [, name, rest = ""] = /^([a-z]+)(~$|@.+)/.exec(field) ?? [];
  const per = PERIODS.find((each) => each === name);
  if (per === undefined) return undefined;
  if (rest === "~") return per === "month" ? undefined : { per, rolling: true, timeZone: "Z" };
  return isTimeZone(rest.slice(1)) ? { per, rolling: false, timeZone: rest.slice(1) } : undefined;
}
