/** What clients are told: how much is left of their budgets, and why a request is refused. */
import { Exchange } from "../pipeline/exchange";
import { rateLimited, rateLimitUnavailable } from "../pipeline/refusal";
import { limitHeaders } from "./limit-headers";
import { Outcome } from "./limit-metrics";
import { Limiter } from "./limiter";
import { RateLimitState, Standing } from "./rate-limit-state";

/** After how long a request is to be tried again when the service cannot be asked, in ms. */
const UNAVAILABLE_WAIT: i64 = 1000;

@final
export class ClientAnswers {
  constructor(private readonly limiter: Limiter) {}

  /** To the headers of an answer that is on its way. */
  writeHeaders(exchange: Exchange, state: RateLimitState): void {
    limitHeaders.begin();
    for (let place = 0; place < state.count; place++) {
      const standing = unchecked(state.standings[place]);
      if (standing == Standing.Reserved || standing == Standing.Held) this.offer(state, place);
    }
    limitHeaders.writeToAnswer();
  }

  /** The rule at `state.refusedBy` has no room. Nothing is reserved any more, and no rule holds the request. */
  sendRefusal(exchange: Exchange, state: RateLimitState): void {
    const limiter = this.limiter;
    const place = state.refusedBy;
    limiter.note(state, place, Outcome.Refused);
    // Nothing is reserved by a request that is refused: the others have as much left as they had before it.
    limitHeaders.begin();
    for (let i = 0; i < state.count; i++) {
      if (unchecked(state.standings[i]) == Standing.Reserved) unchecked(state.claims[i]).withdraw();
      if (i == place || unchecked(state.standings[i]) == Standing.Reserved) this.offer(state, i);
    }
    const wait = max(unchecked(state.claims[place]).availableAt - state.now, 1);
    limiter.giveBack(state);
    state.count = 0;
    rateLimited.sendWith(exchange.api, limiter.ruleAt(state, place).name, limitHeaders.ofRefusal(wait));
  }

  /** The rule at `state.refusedBy` needs a service that cannot be asked. */
  sendUnavailable(exchange: Exchange, state: RateLimitState): void {
    const limiter = this.limiter;
    const place = state.refusedBy;
    limiter.note(state, place, Outcome.Refused);
    limiter.giveBack(state);
    state.count = 0;
    limitHeaders.begin();
    rateLimitUnavailable.sendWith(exchange.api, limiter.ruleAt(state, place).name, limitHeaders.ofRefusal(UNAVAILABLE_WAIT));
  }

  private offer(state: RateLimitState, place: i32): void {
    const rule = this.limiter.ruleAt(state, place);
    if (!rule.shadow) limitHeaders.offer(rule, state, place);
  }
}
