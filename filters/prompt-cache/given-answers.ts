/** Gives clients what was found: at once as a local reply, behind the stages that count it, or in place of what fails; and what that saves. */
import { Exchange } from "../pipeline/exchange";
import { notCached } from "../pipeline/refusal";
import { Stage, Verdict } from "../pipeline/stage";
import { Bytes } from "../sdk";
import { Found } from "../state/answer-slab";
import { answer, AnswerMemory } from "./answer-memory";
import { CacheMetrics, Outcome } from "./cache-metrics";
import { CacheState, milliseconds, stateIn, Step } from "./cache-state";
import { sendAnswer } from "./reply";
import { CacheRule } from "./rule";
import { knownTokens, savedMoney } from "./saved-money";
import { SpareEntry } from "./spare-entry";
import { StoredReplay } from "./stored-replay";

export const HIT = Bytes.literal("hit");

const nothing = new Bytes();

@final
export class GivenAnswers {
  private stage: Stage | null = null;

  constructor(
    private readonly memory: AnswerMemory,
    private readonly metrics: CacheMetrics,
  ) {}

  belong(stage: Stage): void {
    this.stage = stage;
  }

  /** Gives the client what is in `answer`. */
  serve(exchange: Exchange, state: CacheState, rule: CacheRule, outcome: Outcome, label: Bytes): Verdict {
    unchecked(this.metrics.rules[state.index]).request(outcome);
    exchange.cache = outcome == Outcome.Coalesced ? "coalesced" : outcome == Outcome.Stale ? "stale" : "hit";
    // An answer that is made for this one request is not found again.
    if (rule.hitTokens > 0 && outcome != Outcome.Transcoded && outcome != Outcome.Stale && outcome != Outcome.Similar) {
      let replay = state.replay;
      if (replay === null) {
        replay = new StoredReplay(this, exchange);
        state.replay = replay;
      }
      exchange.replay = replay;
      return Verdict.Next;
    }
    if (isReachable(exchange, state)) this.send(exchange, state, rule, label);
    return Verdict.Answered;
  }

  /** Sends the stored answer of a request that no stage objects to, and says what it took. False when it is there no more. */
  replay(exchange: Exchange): bool {
    const state = stateIn(exchange, this.stage!);
    const rule = state.rule;
    if (rule === null) return false;
    state.at = milliseconds();
    if (this.memory.find(state) != Found.Fresh) return false;
    const share = <i64>rule.hitTokens;
    const meta = answer.meta;
    exchange.usage.assume(part(meta.inputTokens, share), part(meta.outputTokens, share), part(meta.cachedTokens, share));
    exchange.answered = true;
    this.send(exchange, state, rule, HIT);
    return true;
  }

  /** It is to be answered from the cache only, and cannot. */
  refuse(exchange: Exchange, state: CacheState): Verdict {
    unchecked(this.metrics.rules[state.index]).request(Outcome.Refused);
    exchange.cache = "refused";
    if (isReachable(exchange, state)) notCached.send(exchange.api, nothing);
    return Verdict.Answered;
  }

  /** Until then the request gets the stored answer, fresh or not, should the upstream fail. */
  backUpUntil(exchange: Exchange, state: CacheState, until: i64): void {
    this.put(exchange, state, null).until = until;
  }

  /** The request gets what is fresh here should the service that it goes to fail. */
  backUp(exchange: Exchange, state: CacheState, label: Bytes): void {
    const first = !state.backedUp;
    const spare = this.put(exchange, state, label);
    if (first) spare.until = 0;
  }

  /** What reading along has saved, if the answer was one to be kept. */
  noteSaved(exchange: Exchange, state: CacheState): void {
    const rule = state.rule;
    if (rule !== null && this.memory.find(state) == Found.Fresh) this.countSaved(exchange, state, rule);
  }

  private put(exchange: Exchange, state: CacheState, freshLabel: Bytes | null): SpareEntry {
    let spare = state.spare;
    if (spare === null) {
      spare = new SpareEntry(this.memory.slab, state);
      state.spare = spare;
    }
    spare.freshLabel = freshLabel;
    spare.given = false;
    exchange.spare = spare;
    state.backedUp = true;
    return spare;
  }

  private send(exchange: Exchange, state: CacheState, rule: CacheRule, label: Bytes): void {
    state.step = Step.None;
    this.countSaved(exchange, state, rule);
    sendAnswer(answer, label, state.low, state.high, rule.showKey, state.similarity, state.at);
  }

  /** What is in `answer` was given once more. */
  private countSaved(exchange: Exchange, state: CacheState, rule: CacheRule): void {
    const meta = answer.meta;
    const money = savedMoney(rule, exchange.model, meta);
    unchecked(this.metrics.rules[state.index]).served(answer.body.len, knownTokens(meta.inputTokens), knownTokens(meta.outputTokens), money);
  }
}

/** The request is the effective one, and can be answered. */
function isReachable(exchange: Exchange, state: CacheState): bool {
  if (!state.held) return true;
  const gate = exchange.gate;
  return gate !== null && gate.take();
}

/** Tokens that are not known stay so. */
function part(stored: u32, percent: i64): i64 {
  const tokens = knownTokens(stored);
  return tokens < 0 ? -1 : (tokens * percent) / 100;
}
