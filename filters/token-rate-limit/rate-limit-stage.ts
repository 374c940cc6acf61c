/**
 * Holds requests to their budgets: reserves what a request will take before it runs, and settles for what it took when it is over.
 *
 *   request   all rules that match: key, estimate, reservation in the store of this Envoy. What a service has to be asked for goes out in one call, and the request
 *             waits. One rule that refuses gives back what the others reserved, and answers 429, or queues the request (admission-control.ts).
 *             Streams are made to report their usage
 *   answer    x-ratelimit-* of the limits with the least left. A stream that outruns its reservation reserves more; when there is no more, it ends, or waits
 *             (running-streams.ts)
 *   end       completed, broken off, timed out, refused by a later stage: the reservation becomes what was used
 *
 * Reservations of requests that run at the same time add up, so no number of them overruns a limit by more than they use over their own estimates.
 */
import { TokenCounts } from "../lib/token-charge";
import { callerKey, hashKey } from "../pipeline/caller-key/caller-key";
import { Exchange, Problem } from "../pipeline/exchange";
import { keyRequired } from "../pipeline/refusal";
import { Flow, Stage, StageState, Verdict } from "../pipeline/stage";
import { Bytes, log, LogLevel } from "../sdk";
import { Admission, AdmissionControl } from "./admission-control";
import { readAmounts } from "./amount-source";
import { ClientAnswers } from "./client-answers";
import { RateLimitConfig } from "./config";
import { IdleRules } from "./idle-rules";
import { Outcome } from "./limit-metrics";
import { Limiter } from "./limiter";
import { milliseconds } from "./milliseconds";
import { RateLimitState } from "./rate-limit-state";
import { MissingKey } from "./rule";
import { RunningStreams } from "./running-streams";
import { ServiceClaimState } from "./service-claim";

const counts = new TokenCounts();

@final
export class RateLimitStage extends Stage {
  private readonly includeUsage: bool;
  private readonly limiter: Limiter;
  private readonly answers: ClientAnswers;
  private readonly admissions: AdmissionControl;
  private readonly streams: RunningStreams;
  private readonly idle: IdleRules;

  constructor(config: RateLimitConfig, tokensPerByte: f64) {
    super();
    this.includeUsage = config.includeUsage;
    this.needsChat = config.needsChat;
    this.needsStatus = true;
    const limiter = new Limiter(config, tokensPerByte);
    const answers = new ClientAnswers(limiter);
    this.limiter = limiter;
    this.answers = answers;
    this.admissions = new AdmissionControl(limiter, answers);
    this.streams = new RunningStreams(limiter);
    this.idle = new IdleRules(config.rules, limiter.metrics);
    limiter.stage = this;
    const service = config.service;
    log.text(
      LogLevel.Info,
      "rate limit: " +
        config.rules.length.toString() +
        " rules in force, at most " +
        limiter.budgets.store.bytes.toString() +
        " bytes of shared data for budgets" +
        (service === null ? "" : ", service " + service.cluster.toString()),
    );
  }

  createState(): StageState {
    return new RateLimitState();
  }

  onRequest(exchange: Exchange): Verdict {
    const state = this.limiter.stateOf(exchange);
    if (!this.matchRules(exchange, state)) return Verdict.Answered;
    if (state.count == 0) return Verdict.Next;
    this.estimate(exchange, state);
    const admission = this.admissions.decide(exchange, state);
    if (admission == Admission.Refused || admission == Admission.Unavailable) {
      this.admissions.refuse(exchange, state, admission);
      return Verdict.Answered;
    }
    // Alone, without a stage that routes, the answer is to be looked at all the same.
    if (exchange.problem == Problem.None && this.limiter.isCounted(state)) {
      exchange.routed = true;
      if (this.includeUsage && this.limiter.countsTokens(state)) exchange.wantUsage();
      this.streams.watch(exchange, state);
    }
    return admission == Admission.Admitted ? Verdict.Next : Verdict.Hold;
  }

  onResponseHeaders(exchange: Exchange): void {
    const state = this.limiter.stateOf(exchange);
    if (state.count > 0) this.answers.writeHeaders(exchange, state);
  }

  onPiece(exchange: Exchange): Flow {
    return this.streams.onPiece(exchange, this.limiter.stateOf(exchange));
  }

  onEnd(exchange: Exchange): void {
    const state = this.limiter.stateOf(exchange);
    if (state.count == 0) return;
    const now = exchange.endedAt != 0 ? milliseconds.floor(exchange.endedAt) : milliseconds.now();
    this.limiter.forecast.settle(exchange, counts, state.prompt, state.promptBytes);
    this.limiter.settle(exchange, state, counts, now);
    this.admissions.forget(exchange, state);
    this.streams.forget(exchange, state);
    const asked = state.asked;
    // Its answer will find nobody.
    if (asked !== null) asked.exchange = null;
    state.begin();
  }

  onTick(): void {
    const limiter = this.limiter;
    const now = milliseconds.now();
    limiter.budgets.store.retry(now);
    limiter.metrics.flush(limiter.budgets.store);
    this.idle.onTick(now);
    const metrics = limiter.serviceMetrics;
    if (metrics !== null) metrics.flush();
    const service = limiter.service;
    const host = this.host;
    if (service !== null && host !== null) service.client.onTick(host, now);
  }

  /** Queued requests and held answers try again. */
  onMoment(): bool {
    const queued = this.admissions.onMoment();
    return this.streams.onMoment() || queued;
  }

  onCallAnswer(callId: u32, message: Bytes | null): bool {
    const service = this.limiter.service;
    if (service === null) return false;
    const client = service.client;
    const now = milliseconds.now();
    if (!client.receive(callId, message, now)) return false;
    const claim = client.asking;
    if (claim === null) return true;
    const exchange = claim.exchange;
    const understood = client.understood;
    if (claim.state == ServiceClaimState.Ahead) service.leased(claim, understood, now);
    else if (exchange === null) service.abandon(claim, understood, now);
    else {
      const state = this.limiter.stateOf(exchange);
      state.now = now;
      if (state.extends >= 0) this.streams.takeAnswer(exchange, state, service, claim, understood);
      else this.admissions.takeAnswer(exchange, state, service, claim, understood);
    }
    return true;
  }

  /** Finds the rules that are about the request, and whose budget it is under each. False when it was refused, because a part of a key is missing. */
  private matchRules(exchange: Exchange, state: RateLimitState): bool {
    const limiter = this.limiter;
    for (let i = 0; i < limiter.rules.length; i++) {
      const rule = unchecked(limiter.rules[i]);
      if (!rule.match.holds(exchange)) continue;
      state.add(i);
      const complete = hashKey(unchecked(limiter.budgets.identities[i]), rule.key, exchange, rule.isRemote ? state.keys : null);
      unchecked((state.hashLow[state.count - 1] = callerKey.low));
      unchecked((state.hashHigh[state.count - 1] = callerKey.high));
      if (complete || rule.missingKey == MissingKey.Shared) {
        if (rule.saysAmounts) readAmounts(rule.limits, exchange, state.askAmounts(state.count - 1));
        continue;
      }
      limiter.metrics.request(i, Outcome.KeyMissing);
      state.removeLast();
      if (rule.missingKey == MissingKey.Skip) continue;
      state.count = 0;
      keyRequired.send(exchange.api, rule.name);
      return false;
    }
    return true;
  }

  private estimate(exchange: Exchange, state: RateLimitState): void {
    const forecast = this.limiter.forecast;
    forecast.estimate(exchange);
    state.promptBytes = forecast.promptBytes;
    state.prompt = forecast.prompt;
    state.completion = forecast.completion;
  }
}
