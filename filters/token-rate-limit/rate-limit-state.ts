/** What one request has to do with the rules that match it. Pooled with its stream. */
import { StageState } from "../pipeline/stage";
import { Bytes, ByteWriter } from "../sdk";
import { Claim, MAX_LIMITS } from "../state/budget-store";
import { ServiceClaim } from "./service-claim";

/** Where a request stands with a rule. */
export const enum Standing {
  /** Nothing is reserved. */
  Open = 0,
  /** `claims` holds a reservation of this Envoy's store. */
  Reserved = 1,
  /** The service is asked: `asked`. */
  Asked = 2,
  /** The service has a reservation of it: `held`. */
  Held = 3,
  /** It is not held to the rule. */
  Free = 4,
}

@final
export class RateLimitState extends StageState {
  /** Rules that match. By place: index of the rule, how it stands, what the store or the service said, whose budget it is, where the values of the key begin in `keys`. */
  count: i32 = 0;
  readonly rules: i32[] = [];
  readonly standings: Standing[] = [];
  readonly claims: Claim[] = [];
  readonly hashLow: u64[] = [];
  readonly hashHigh: u64[] = [];
  private readonly keyAt: i32[] = [];
  /** Amounts that the request says itself, by limit; 0 where it says none. Null for rules that do not ask for them. */
  private readonly said: (StaticArray<i64> | null)[] = [];
  /** Of rules whose budgets a service keeps: the values of their keys. */
  readonly keys: ByteWriter = new ByteWriter();
  private readonly view: Bytes = new Bytes();

  promptBytes: u32 = 0;
  prompt: i64 = 0;
  completion: i64 = 0;
  /** When budgets were last asked: ms since the epoch, 0 before. */
  now: i64 = 0;
  /** The place of the rule that refused. */
  refusedBy: i32 = 0;
  asked: ServiceClaim | null = null;
  held: ServiceClaim | null = null;
  /** How often the service was asked. */
  rounds: i32 = 0;
  /** The request waits for room until then; 0 when it does not. */
  queuedUntil: i64 = 0;
  /** It has waited, and does not again. */
  hasWaited: bool = false;
  /** The answer is held until then at least; 0 when it is not. */
  heldUntil: i64 = 0;
  /** Tokens of a paced answer that are reserved, and that had come when they last were; it was slowed down. */
  paid: i64 = 0;
  seen: i64 = 0;
  paced: bool = false;
  /** The place of the rule for which the service is asked for more while the answer runs; -1 for none. */
  extends: i32 = -1;
  /** The answer ends with its next piece. */
  stops: bool = false;

  begin(): void {
    this.count = 0;
    this.now = 0;
    this.asked = null;
    this.held = null;
    this.rounds = 0;
    this.queuedUntil = 0;
    this.hasWaited = false;
    this.heldUntil = 0;
    this.extends = -1;
    this.paid = 0;
    this.seen = 0;
    this.paced = false;
    this.stops = false;
    this.keys.reset();
  }

  /** Another rule matches. Objects are made when more match than ever before. The values of its key may be written to `keys` now. */
  add(rule: i32): void {
    const at = this.count++;
    if (at == this.claims.length) {
      this.claims.push(new Claim());
      this.rules.push(0);
      this.standings.push(Standing.Open);
      this.hashLow.push(0);
      this.hashHigh.push(0);
      this.keyAt.push(0);
      this.said.push(null);
    }
    unchecked((this.rules[at] = rule));
    unchecked((this.standings[at] = Standing.Open));
    unchecked((this.keyAt[at] = this.keys.len));
    const said = unchecked(this.said[at]);
    if (said !== null) memory.fill(changetype<usize>(said), 0, MAX_LIMITS << 3);
  }

  /** The rule that was added last does not match after all. */
  removeLast(): void {
    this.count--;
  }

  /** Where amounts that the request says are to be written. */
  askAmounts(place: i32): StaticArray<i64> {
    let said = unchecked(this.said[place]);
    if (said === null) {
      said = new StaticArray<i64>(MAX_LIMITS);
      unchecked((this.said[place] = said));
    }
    return said;
  }

  /** What was written there; null when nothing was. */
  amounts(place: i32): StaticArray<i64> | null {
    return unchecked(this.said[place]);
  }

  /** The amount of a limit for this request. */
  amountOf(place: i32, limit: i32, configured: i64): i64 {
    const said = unchecked(this.said[place]);
    return said === null || unchecked(said[limit]) <= 0 ? configured : unchecked(said[limit]);
  }

  /** The values of the key of the rule at this place. Valid until the next call. */
  keysOf(place: i32): Bytes {
    const from = unchecked(this.keyAt[place]);
    const to = place + 1 < this.count ? unchecked(this.keyAt[place + 1]) : this.keys.len;
    this.view.set(this.keys.view().ptr + <usize>from, to - from);
    return this.view;
  }
}
