/** Streams that get tokens as fast as their budget has room for them. */
import { Exchange } from "../pipeline/exchange";
import { Flow } from "../pipeline/stage";
import { Verdict as Reservation } from "../state/budget-store";
import { Outcome } from "./limit-metrics";
import { Limiter } from "./limiter";
import { RateLimitState } from "./rate-limit-state";
import { RequestQueue } from "./request-queue";

/** Tokens of a paced stream that it may catch up with a piece, at least. */
const PACE_STEP: i64 = 4;

@final
export class PacedStreams {
  /** Answers that are held until there is room. */
  private readonly held: RequestQueue = new RequestQueue();

  constructor(private readonly limiter: Limiter) {}

  /** Answers that are held. */
  get length(): i32 {
    return this.held.length;
  }

  at(index: i32): Exchange {
    return this.held.at(index);
  }

  /** The answer is held no more. */
  remove(exchange: Exchange): void {
    this.held.remove(exchange);
  }

  /** Lets pass what there is room for of an answer of so many tokens. What cannot wait for the next piece is held until there is room for all of it. */
  pace(exchange: Exchange, state: RateLimitState, place: i32, tokens: i64): Flow {
    const host = this.limiter.host;
    const answer = exchange.answer;
    const held = state.heldUntil != 0;
    if (host === null || answer === null) return Flow.Pass;
    // Streams of one budget that have fallen behind catch up in small parts, so that none takes all of what is free again.
    const most = held ? tokens : min(tokens, state.paid + max(2 * (tokens - state.seen), PACE_STEP));
    state.seen = tokens;
    this.payFor(exchange, state, place, most);
    if (state.paid >= tokens) return Flow.Pass;
    if (!state.paced) this.limiter.note(state, place, Outcome.Paced);
    state.paced = true;
    if (!held && !exchange.answered && answer.canWait) {
      answer.passable = (exchange.answerBytes * state.paid) / tokens;
      return Flow.Slow;
    }
    if (!held && !this.held.add(exchange)) return Flow.Pass;
    state.heldUntil = max(unchecked(state.claims[place]).availableAt, state.now + 1);
    host.hurry();
    return Flow.Hold;
  }

  /** Reserves up to `tokens` of an answer, as many as there is room for. O(log tokens). */
  private payFor(exchange: Exchange, state: RateLimitState, place: i32, tokens: i64): void {
    const budgets = this.limiter.budgets;
    const claim = unchecked(state.claims[place]);
    for (let part = tokens - state.paid; part > 0; part >>= 1) {
      part = min(part, tokens - state.paid);
      const outcome = budgets.store.extend(claim, budgets.wantsMore(state, place, exchange.model, state.paid + part), state.now);
      if (outcome != Reservation.Refused) state.paid += part;
    }
  }
}
