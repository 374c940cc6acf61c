import { Exchange } from "../pipeline/exchange";
import { Stage, StageState } from "../pipeline/stage";
import { time } from "../sdk";
import { LiveAnswer } from "./live-answers";
import { Recorder } from "./recorder";
import { CacheRule } from "./rule";
import { Question } from "./service-messages";
import { SpareEntry } from "./spare-entry";
import { StoredReplay } from "./stored-replay";

/** ns in a ms. */
export const MS: u64 = 1_000_000;

/** What a request is doing at the cache. */
export const enum Step {
  /** It is none of the cache's, or done. */
  None = 0,
  /** It goes past the cache: neither looked up nor stored. */
  Bypass = 1,
  /** Waits for the call of another request. */
  Follows = 2,
  /** Waits for the service. */
  Asks = 3,
  /** Goes upstream, and its answer is stored. */
  Fetches = 4,
  /** Reads the answer of another request along at the service, or a stored one as it came. */
  ReadsAlong = 5,
}

/** Of one request. */
@final
export class CacheState extends StageState {
  step: Step = Step.None;
  rule: CacheRule | null = null;
  /** Place of the rule. */
  index: i32 = 0;
  low: u64 = 0;
  high: u64 = 0;
  /** The key of the same question in the other form; where the rule has one given for the other. */
  otherLow: u64 = 0;
  otherHigh: u64 = 0;
  tenant: u64 = 0;
  model: u64 = 0;
  /** ms since 1970: when it came, and until when it waits for others. */
  at: i64 = 0;
  until: i64 = 0;
  /** Oldest answer that it takes, in ms; -1 for any. */
  maxAge: i64 = -1;
  onlyIfCached: bool = false;
  /** It asked for a new answer. */
  refreshes: bool = false;
  /** It has waited: Envoy has it, and the gate is the way to it. */
  held: bool = false;
  /** At the flight board; 0 for none. */
  ticket: u32 = 0;
  /** Of the service; 0 for none. */
  callId: u32 = 0;
  /** ns since 1970, when the service was asked. */
  askedAt: u64 = 0;
  /** Where the router sent it: an answer of another target is not what was asked for. */
  target: usize = 0;
  recorder: Recorder | null = null;
  /** Of what it was answered with, in 1/1000; 0 for the answer to this very question. */
  similarity: i32 = 0;
  /** Its words, where an answer to others like them will do; null for none. */
  question: Question | null = null;
  /** Made when they are needed for the first time. */
  spare: SpareEntry | null = null;
  /** `spare` may stand in for the answer of this request. */
  backedUp: bool = false;
  replay: StoredReplay | null = null;
  /** Its answer on its way to those who read along; null while nobody does. */
  live: LiveAnswer | null = null;
  /** That has failed, and is not tried again. */
  lost: bool = false;
  /** Where it is to read along itself. */
  liveLow: u64 = 0;
  liveHigh: u64 = 0;
  /** When the upstream of the answer that it is to get as it came was asked, ms since 1970; 0 while it asks for no such thing. */
  replayOf: i64 = 0;

  begin(): void {
    this.step = Step.None;
    this.rule = null;
    this.held = false;
    this.maxAge = -1;
    this.onlyIfCached = false;
    this.refreshes = false;
    this.similarity = 0;
    this.backedUp = false;
    this.ticket = 0;
    this.callId = 0;
    this.live = null;
    this.lost = false;
    this.replayOf = 0;
  }
}

/** That of the request, where `stage` is the cache. */
export function stateIn(exchange: Exchange, stage: Stage): CacheState {
  return changetype<CacheState>(unchecked(exchange.states[stage.index]));
}

/** Now, since 1970. */
export function milliseconds(): i64 {
  return <i64>(time.now() / MS);
}
