/**
 * The rate limiter as plain lists: who is admitted, what is told, what every end costs. Written from the description of the filter.
 *
 * Calls are generators that stop before each access to what workers share, so that a test can put another call between two accesses of one, as it happens with
 * several workers.
 */
import { type Estimate, ForecastReference, type Usage } from "./rate-limit-forecast.ts";
import {
  admits,
  advanced,
  granted,
  type LimitSpec,
  type Meter,
  remaining,
  reservedOf,
  settled,
  UNTOUCHED,
} from "./rate-limit-meter.ts";

type Weights = Record<keyof Usage, number>;

export interface RuleSpec {
  readonly name: string;
  /** Parts of the key: the team's header, the model. */
  readonly key: readonly ("team" | "model")[];
  readonly missingKey: "shared" | "skip" | "reject";
  readonly model: string | undefined;
  /** Amounts and weights in thousandths for weighted tokens. */
  readonly limits: readonly LimitSpec[];
  readonly weights: Weights;
  readonly shadow: boolean;
}

export interface Asked {
  readonly team: string | undefined;
  readonly model: string;
  readonly promptBytes: number;
  readonly bodyBytes: number;
  readonly declared: number | undefined;
  readonly stream: boolean;
}

/** `free`: an error or nobody reached; `prompt`: it was worked on without an answer; else the bytes that came. */
export type Ending =
  | { readonly usage: Usage; readonly bytes: number }
  | { readonly cost: "free" | "prompt" }
  | { readonly bytes: number };

export interface Refusal {
  readonly rule: RuleSpec;
  readonly wants: readonly number[];
  readonly meters: readonly Meter[];
}

/** What is left under each limit of a rule. */
interface Left {
  readonly rule: RuleSpec;
  readonly left: readonly number[];
}

/** What a request holds of one budget. */
interface Claim extends Left {
  readonly budget: string;
  readonly id: number;
  readonly reserved: readonly number[];
}

export interface Call {
  readonly asked: Asked;
  readonly worker: number;
  readonly estimate: Estimate;
  readonly promptBytes: number;
  readonly stream: boolean;
  readonly claims: Claim[];
  /** Of rules that had room before another one refused, their reservation given back. */
  readonly others: Left[];
  outcome: "ok" | "429 rate_limit_exceeded" | "401 key_required";
  refusal: Refusal | undefined;
}

/** One admission under one limit, for the bound that is promised. */
export interface LogEntry {
  readonly limit: LimitSpec;
  /** Budget, limit and beginning of its meter. */
  readonly meter: string;
  readonly id: number;
  readonly at: number;
  readonly reserved: number;
  used: number;
  settledAt: number;
}

export class LimiterReference {
  rules: readonly RuleSpec[];
  readonly log: LogEntry[] = [];
  readonly #budgets = new Map<string, readonly Meter[]>();
  readonly #forecasts = new Map<number, ForecastReference>();
  #calls = 0;

  constructor(rules: readonly RuleSpec[]) {
    this.rules = rules;
  }

  *ask(asked: Asked, worker: number, now: number): Generator<void, Call> {
    const read = this.rules.some(({ limits }) => limits.some(({ unit }) => unit !== "requests"));
    // Of a body that nobody looked into, all may be prompt; but how many tokens a byte of it is says nothing of prompts.
    const bytes = read ? asked.promptBytes : asked.bodyBytes;
    const promptBytes = read ? asked.promptBytes : 0;
    const estimate = this.#forecast(worker).estimate(asked.model, bytes, asked.declared);
    const stream = read && asked.stream;
    const call: Call = {
      ...{ asked, worker, estimate, promptBytes, stream },
      ...{ claims: [], others: [], outcome: "ok", refusal: undefined },
    };
    const lacksKey = ({ key }: RuleSpec) => key.includes("team") && asked.team === undefined;
    const matching = this.rules.filter(({ model }) => model === undefined || model === asked.model);
    // Who it is comes before what is left.
    if (matching.some((rule) => lacksKey(rule) && rule.missingKey === "reject")) {
      call.outcome = "401 key_required";
      return call;
    }
    for (const rule of matching) {
      if (lacksKey(rule) && rule.missingKey === "skip") continue;
      const refusal = yield* this.#reserve(call, rule, now);
      if (refusal === undefined || rule.shadow) continue;
      call.refusal = refusal;
      call.outcome = "429 rate_limit_exceeded";
      for (const claim of call.claims.splice(0)) {
        call.others.push({ rule: claim.rule, left: claim.left.map((units, i) => units + (claim.reserved[i] ?? 0)) });
        yield* this.#settle(claim, () => 0, now);
      }
      break;
    }
    return call;
  }

  *end(call: Call, ending: Ending, now: number): Generator<void, undefined> {
    if (call.claims.length === 0) return undefined;
    const usage = this.#spent(call, ending);
    for (const { rule, ...claim } of call.claims)
      yield* this.#settle({ rule, ...claim }, (limit) => charge(limit, rule, usage), now);
    return undefined;
  }

  /** Headers of an answer: of each kind of limit the one with the smallest share left. */
  told(claims: readonly Left[]): Record<string, string> {
    const least = new Map<string, { limit: LimitSpec; left: number }>();
    for (const { rule, left } of claims.filter(({ rule }) => !rule.shadow)) {
      for (const [i, limit] of rule.limits.entries()) {
        const kind = limit.unit === "requests" ? "requests" : "tokens";
        const before = least.get(kind);
        const found = { limit, left: left[i] ?? 0 };
        if (before === undefined || shown(found).share < shown(before).share) least.set(kind, found);
      }
    }
    const pairs = [...least].map(([kind, found]) => {
      const { limit, left } = shown(found);
      return { [`limit-${kind}`]: String(limit), [`remaining-${kind}`]: String(left) };
    });
    return Object.assign({}, ...pairs);
  }

  /** What is left of a budget that refused. */
  leftOf({ rule, meters }: Refusal): Left {
    return { rule, left: rule.limits.map((limit, i) => remaining(limit, meters[i] ?? UNTOUCHED)) };
  }

  *#reserve(call: Call, rule: RuleSpec, now: number): Generator<void, Refusal | undefined> {
    const { asked, estimate } = call;
    const values = rule.key.map((part) => (part === "team" ? asked.team : asked.model));
    const budget = JSON.stringify([rule.name, values]);
    const wants = rule.limits.map((limit) => chargeAtMost(limit, rule, estimate));
    const id = ++this.#calls;
    for (;;) {
      yield;
      const before = this.#budgets.get(budget);
      const meters = rule.limits.map((limit, i) => advanced(limit, before?.[i] ?? UNTOUCHED, now));
      const fits = rule.limits.every((limit, i) => admits(limit, meters[i] ?? UNTOUCHED, wants[i] ?? 0));
      if (!fits) return { rule, wants, meters };
      const reserved = rule.limits.map((limit, i) => reservedOf(limit, wants[i] ?? 0));
      const after = meters.map((meter, i) => granted(meter, id, reserved[i] ?? 0));
      yield;
      if (this.#budgets.get(budget) !== before) continue;
      this.#budgets.set(budget, after);
      const left = rule.limits.map((limit, i) => remaining(limit, after[i] ?? UNTOUCHED));
      call.claims.push({ budget, rule, id, reserved, left });
      for (const [i, limit] of rule.limits.entries()) {
        const { newest: at = 0, begun = 0 } = after[i] ?? UNTOUCHED;
        const meter = `${budget} ${i} ${begun}`;
        this.log.push({ limit, meter, id, at, reserved: reserved[i] ?? 0, used: 0, settledAt: Number.NaN });
      }
      return undefined;
    }
  }

  *#settle(claim: Claim, cost: (limit: LimitSpec) => number, now: number): Generator<void, void> {
    const { limits } = claim.rule;
    const used = limits.map(cost);
    const leased = limits.some(({ per }) => per === "day" || per === "month");
    const writes = leased || used.some((units, i) => units !== claim.reserved[i]);
    for (;;) {
      if (writes) yield;
      const before = this.#budgets.get(claim.budget);
      const meters = limits.map((limit, i) => {
        const meter = before?.[i] ?? UNTOUCHED;
        return settled(writes ? advanced(limit, meter, now) : meter, claim.id, used[i] ?? 0);
      });
      if (writes) yield;
      if (this.#budgets.get(claim.budget) !== before) continue;
      this.#budgets.set(claim.budget, meters);
      const entries = this.log.filter(({ id }) => id === claim.id);
      for (const [i, entry] of entries.entries()) {
        entry.used = used[i] ?? 0;
        entry.settledAt = meters[i]?.newest ?? 0;
      }
      return;
    }
  }

  #spent(call: Call, ending: Ending): Usage {
    const forecast = this.#forecast(call.worker);
    // What reports 0 and 0 does not know.
    if ("usage" in ending && ending.usage.input + ending.usage.output > 0) {
      forecast.learn(call.asked.model, call.promptBytes, ending.usage, { stream: call.stream, bytes: ending.bytes });
      return ending.usage;
    }
    const nothing = { input: 0, cached: 0, cacheWrite: 0, output: 0, reasoning: 0 };
    if ("cost" in ending) return ending.cost === "free" ? nothing : { ...nothing, input: call.estimate.prompt };
    const output = forecast.tokensOf({ stream: call.stream, bytes: ending.bytes });
    return { ...nothing, input: call.estimate.prompt, output };
  }

  #forecast(worker: number): ForecastReference {
    const forecast = this.#forecasts.get(worker) ?? new ForecastReference(0.25);
    this.#forecasts.set(worker, forecast);
    return forecast;
  }
}

function shown({ limit, left }: { limit: LimitSpec; left: number }): { limit: number; left: number; share: number } {
  const scale = limit.unit === "weightedTokens" ? 1000 : 1;
  const share = left / limit.amount;
  return { limit: Math.floor(limit.amount / scale), left: Math.floor(left / scale), share };
}

function charge({ unit }: LimitSpec, { weights }: RuleSpec, usage: Usage): number {
  if (unit === "requests") return 1;
  if (unit === "promptTokens") return usage.input;
  if (unit === "completionTokens") return usage.output;
  if (unit === "tokens") return usage.input + usage.output;
  const plain = usage.input - usage.cached - usage.cacheWrite;
  const prompt = plain * weights.input + usage.cached * weights.cached + usage.cacheWrite * weights.cacheWrite;
  return prompt + (usage.output - usage.reasoning) * weights.output + usage.reasoning * weights.reasoning;
}

function chargeAtMost({ unit }: LimitSpec, { weights }: RuleSpec, { prompt, completion }: Estimate): number {
  if (unit === "requests") return 1;
  if (unit === "promptTokens") return prompt;
  if (unit === "completionTokens") return completion;
  if (unit === "tokens") return prompt + completion;
  const dearest = Math.max(weights.input, weights.cached, weights.cacheWrite);
  return prompt * dearest + completion * Math.max(weights.output, weights.reasoning);
}
