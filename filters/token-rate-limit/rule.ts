/** A rule: which requests it is about, which of them share a budget, and how large that is. Made from the configuration, never changed. */
import { charge, chargeAtMost, LimitUnit, TokenCounts, TokenRates } from "../lib/token-charge";
import { KeyPart, KeySource } from "../pipeline/caller-key/key-part";
import { Exchange } from "../pipeline/exchange";
import { Match } from "../pipeline/match/match";
import { PriceList } from "../pipeline/rates/price-list";
import { Bytes, ByteWriter } from "../sdk";
import { Limit } from "./limit";

/** What becomes of a request that lacks a part of the key. In the order in which the configuration names them. */
export const enum MissingKey {
  /** All of them have one budget. */
  Shared = 0,
  /** The rule does not apply. */
  Skip = 1,
  Reject = 2,
}

/** Who keeps the budgets of a rule. In the order in which the configuration names them, as those below. */
export const enum Mode {
  /** This Envoy, by itself. */
  Local = 0,
  /** The service, which is asked for each request. */
  Strict = 1,
  /** The service; each Envoy takes shares of them in advance. */
  Leased = 2,
}

/** What becomes of requests while the service cannot be asked. */
export const enum OnFailure {
  /** This Envoy holds them to the budgets, by itself. */
  Local = 0,
  Open = 1,
  Closed = 2,
}

/** What becomes of a stream that uses more than it reserved when the budget has no more. */
export const enum Overrun {
  Allow = 0,
  /** It is ended, with the terminal event of its API. */
  Stop = 1,
  /** It is held until there is room. */
  Pace = 2,
}

@final
export class RateLimitRule {
  key: KeyPart[] = [];
  missingKey: MissingKey = MissingKey.Shared;
  limits: Limit[] = [];
  weights: TokenRates = new TokenRates();
  /** Null without a limit in money. */
  prices: PriceList | null = null;
  /** Counts and reports, and refuses nothing. */
  shadow: bool = false;
  mode: Mode = Mode.Local;
  onFailure: OnFailure = OnFailure.Local;
  /** Only with `Mode.Leased`: percent of an amount that an Envoy takes in advance. */
  leasePercent: i32 = 5;
  /** How long a request waits for room, in ms; 0 not at all. */
  queueMs: i32 = 0;
  overrun: Overrun = Overrun.Allow;

  constructor(
    readonly name: Bytes,
    readonly match: Match,
  ) {}

  /** A Rate Limit Service keeps its budgets. */
  get isRemote(): bool {
    return this.mode != Mode.Local;
  }

  /** The service is asked for each request. */
  get isStrict(): bool {
    return this.mode == Mode.Strict;
  }

  /** It says what becomes of streams that use up their reservation. Out of force it stops none. */
  get limitsStreams(): bool {
    return this.overrun != Overrun.Allow && !this.shadow;
  }

  /** Requests may say amounts themselves. */
  get saysAmounts(): bool {
    for (let i = 0; i < this.limits.length; i++) if (unchecked(this.limits[i]).amountFrom !== null) return true;
    return false;
  }

  /** A limit counts tokens: what a request will take has to be estimated. */
  get countsTokens(): bool {
    for (let i = 0; i < this.limits.length; i++) if (this.limits[i].unit != LimitUnit.Requests) return true;
    return false;
  }

  /** Needs more of the body than the model. */
  get needsChat(): bool {
    for (let i = 0; i < this.key.length; i++) if (this.key[i].source == KeySource.Session) return true;
    return this.match.needsChat || this.countsTokens;
  }

  /** What tokens of `model` count in `limit`. */
  rates(limit: Limit, model: Bytes): TokenRates {
    const prices = this.prices;
    if (limit.unit != LimitUnit.Money || prices === null) return this.weights;
    const found = prices.find(model);
    return found === null ? prices.dearest : found;
  }

  /** False when a limit in money counts this model at the dearest price of the list, because the list does not have it. */
  hasPrice(model: Bytes): bool {
    const prices = this.prices;
    return prices === null || prices.find(model) !== null;
  }

  /** What a call to `model` with these tokens takes from `limit`, in its unit. */
  charge(limit: Limit, counts: TokenCounts, model: Bytes): i64 {
    return charge(limit.unit, counts, this.rates(limit, model));
  }

  /** What a request took that is over; one that never went anywhere costs nothing, not even itself. */
  cost(limit: Limit, counts: TokenCounts, exchange: Exchange): i64 {
    return limit.unit == LimitUnit.Requests && !exchange.routed ? 0 : this.charge(limit, counts, exchange.model);
  }

  /** What a call of so many tokens will take at most. */
  chargeAtMost(limit: Limit, prompt: i64, completion: i64, model: Bytes): i64 {
    return chargeAtMost(limit.unit, prompt, completion, this.rates(limit, model));
  }

  /**
   * What budgets of this rule have in common and no other's: its name, what its key is made of, and the windows of its limits. A budget is found by
   * the hash of this and of the values; so a changed rule does not count on in meters that mean something else, and changed amounts do.
   * Allocates: for the configuration.
   */
  identity(): Bytes {
    const text = new ByteWriter();
    text.bytes(this.name).byte(0);
    for (let i = 0; i < this.key.length; i++) {
      const part = this.key[i];
      text.byte(<u8>part.source).decimal(part.text.len).byte(0).bytes(part.text);
    }
    text.byte(0xff);
    for (let i = 0; i < this.limits.length; i++) {
      const limit = this.limits[i];
      const zone = limit.zone;
      text.byte(<u8>limit.unit).byte(<u8>limit.period).byte(limit.rolling ? 1 : 0);
      // Without sign, as it was when all zones were offsets: their budgets go on.
      if (zone.isFixed) text.decimal(<u64>(zone.winter / 1000));
      else text.bytes(Bytes.literal(zone.identity));
      text.byte(0);
    }
    return text.view().copy();
  }
}
