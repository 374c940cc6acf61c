/**
 * What clients are told: `x-ratelimit-{limit,remaining,reset}-{tokens,requests}` as OpenAI writes them, of the limit of each kind that has the least left,
 * and with a refusal `retry-after` and `retry-after-ms`.
 */
import { LimitUnit, WEIGHT_SCALE } from "../lib/token-charge";
import { answerHeaders } from "../pipeline/answer-headers";
import { Bytes, ByteWriter, PairsWriter } from "../sdk";
import { RateLimitState } from "./rate-limit-state";
import { RateLimitRule } from "./rule";

const RETRY_AFTER = Bytes.literal("retry-after");
const RETRY_AFTER_MS = Bytes.literal("retry-after-ms");

const text = new ByteWriter();

/** The three headers of one kind of limit. */
@final
class Headline {
  readonly limitHeader: Bytes;
  readonly remainingHeader: Bytes;
  readonly resetHeader: Bytes;
  private limit: i64 = 0;
  private remaining: i64 = 0;
  private resetIn: i64 = 0;
  /** Units that are one token. */
  private scale: i64 = 1;
  /** There is a limit of this kind. */
  seen: bool = false;

  constructor(kind: string) {
    this.limitHeader = Bytes.literal("x-ratelimit-limit-" + kind);
    this.remainingHeader = Bytes.literal("x-ratelimit-remaining-" + kind);
    this.resetHeader = Bytes.literal("x-ratelimit-reset-" + kind);
  }

  begin(): void {
    this.seen = false;
  }

  /** Keeps the one with the smaller share left. */
  offer(limit: i64, remaining: i64, resetIn: i64, scale: i64): void {
    if (this.seen && <f64>remaining / <f64>limit >= <f64>this.remaining / <f64>this.limit) return;
    this.seen = true;
    this.limit = limit;
    this.remaining = remaining;
    this.resetIn = resetIn;
    this.scale = scale;
  }

  writeToAnswer(): void {
    if (!this.seen) return;
    answerHeaders.replace(this.limitHeader, text.reset().decimal(this.limit / this.scale).view());
    answerHeaders.replace(this.remainingHeader, text.reset().decimal(this.remaining / this.scale).view());
    answerHeaders.replace(this.resetHeader, writeDuration(text.reset(), this.resetIn).view());
  }

  writeTo(pairs: PairsWriter): void {
    if (!this.seen) return;
    pairs.add(this.limitHeader, text.reset().decimal(this.limit / this.scale).view());
    pairs.add(this.remainingHeader, text.reset().decimal(this.remaining / this.scale).view());
    pairs.add(this.resetHeader, writeDuration(text.reset(), this.resetIn).view());
  }
}

const tokens = new Headline("tokens");
const requests = new Headline("requests");
const pairs = new PairsWriter();

/** Collects, over the rules of a request, which limits have the least left. */
export namespace limitHeaders {
  export function begin(): void {
    tokens.begin();
    requests.begin();
  }

  /** What is left to the request of the rule at this place. */
  export function offer(rule: RateLimitRule, state: RateLimitState, place: i32): void {
    const limits = rule.limits;
    const claim = unchecked(state.claims[place]);
    for (let i = 0; i < limits.length; i++) {
      const limit = unchecked(limits[i]);
      // There is no header for money.
      if (limit.unit == LimitUnit.Money) continue;
      const kind = limit.unit == LimitUnit.Requests ? requests : tokens;
      const scale = limit.unit == LimitUnit.WeightedTokens ? WEIGHT_SCALE : 1;
      kind.offer(state.amountOf(place, i, limit.amount), unchecked(claim.remaining[i] + claim.elsewhere[i]), max(unchecked(claim.resetAt[i]) - state.now, 0), scale);
    }
  }

  /** They take the place of the upstream's own. */
  export function writeToAnswer(): void {
    tokens.writeToAnswer();
    requests.writeToAnswer();
  }

  /** Headers of a refusal after which the request could pass in `wait` ms. Valid until the next call. */
  export function ofRefusal(wait: i64): PairsWriter {
    pairs.reset();
    tokens.writeTo(pairs);
    requests.writeTo(pairs);
    pairs.add(RETRY_AFTER, text.reset().decimal((wait + 999) / 1000).view());
    pairs.add(RETRY_AFTER_MS, text.reset().decimal(wait).view());
    return pairs;
  }
}

/** Milliseconds as OpenAI writes durations: `20ms`, `1.5s`, `6m0s`, `1h0m2s`. */
function writeDuration(out: ByteWriter, millis: i64): ByteWriter {
  if (millis < 1000) return out.decimal(millis).text("ms");
  const seconds = millis / 1000;
  if (seconds >= 3600) out.decimal(seconds / 3600).byte(0x68);
  if (seconds >= 60) out.decimal((seconds / 60) % 60).byte(0x6d);
  out.decimal(seconds % 60);
  const rest = millis % 1000;
  if (rest > 0) {
    out.byte(0x2e).byte(<u8>(48 + rest / 100));
    if (rest % 100 > 0) out.byte(<u8>(48 + (rest / 10) % 10));
    if (rest % 10 > 0) out.byte(<u8>(48 + rest % 10));
  }
  return out.byte(0x73);
}
