/**
 * Decides where an LLM call goes: the first rule that holds, else the entry of `models`, else what the configuration says of unknown models.
 *
 * A target that needs no more than a route and a model name is settled here. One that needs another host, path or credential, and every target with a
 * fallback, gets a plan for the attempt filter, because that must happen behind the choice of the route and anew for each attempt.
 */
import { answerHeaders } from "../pipeline/answer-headers";
import { requestHeaders } from "../pipeline/request-headers";
import { Exchange, ModelPlace, Problem } from "../pipeline/exchange";
import { bodyUnreadable, modelNotFound, modelRequired, Refusal } from "../pipeline/refusal";
import { Stage, StageState, Verdict } from "../pipeline/stage";
import { Bytes, ByteWriter, headers, log, LogLevel, MapType, Metric, property, Status } from "../sdk";
import { HEDGE, MODEL_HEADER, RoutingConfig, TRY_TIMEOUT } from "./config";
import { hasKeyParameter, RequestPath, writeModel, writePath } from "./model-text";
import { DIVERTED, Plan, PLAN_PROPERTY, plans } from "./plan";
import { Fallback, Rule } from "./rule";
import { Target } from "./target";

const TARGET_HEADER = Bytes.literal("x-llm-target");
const ATTEMPTS_HEADER = Bytes.literal("x-llm-attempts");
const PATH = Bytes.literal(":path");
const RETRY_ON = Bytes.literal("x-envoy-retry-on");
const RETRY_STATUSES = Bytes.literal("x-envoy-retriable-status-codes");
const MAX_RETRIES = Bytes.literal("x-envoy-max-retries");
const CONDITIONS = Bytes.literal("connect-failure,refused-stream,reset,retriable-status-codes");
const UPSTREAM_ADDRESS = Bytes.literal("upstream\0address");

const nothing = new Bytes();
const name = new Bytes();
const value = new Bytes();
const text = new ByteWriter();
const path = new RequestPath();

@final
class RoutingState extends StageState {
  plan: Plan | null = null;
  /** What a target without an own model name gets. In memory of the exchange, or of the configuration. */
  readonly defaultModel: Bytes = new Bytes();
  target: Target | null = null;

  begin(): void {
    this.plan = null;
    this.target = null;
  }
}

@final
export class RoutingStage extends Stage {
  private fallbacks: Metric | null = null;
  /** Said once, that the attempt filter is missing. */
  private warned: bool = false;

  constructor(private readonly config: RoutingConfig) {
    super();
    this.needsChat = config.needsChat;
  }

  createState(): StageState {
    return new RoutingState();
  }

  onRequest(exchange: Exchange): Verdict {
    const config = this.config;
    if (exchange.problem != Problem.None) return this.byPolicy(exchange, config.policyFor(exchange.problem), exchange.refusal, nothing);
    if (exchange.model.len == 0) return this.byPolicy(exchange, config.onMissingModel, modelRequired, nothing);
    if (!exchange.modelBroken) {
      const rules = config.rules;
      for (let i = 0; i < rules.length; i++) {
        const rule = unchecked(rules[i]);
        if (rule.match.holds(exchange)) return this.byRule(exchange, rule);
      }
      const entry = config.models.find(exchange.model);
      if (entry !== null) return this.go(exchange, entry.target, entry.target.value, null, exchange.model);
    }
    return this.byPolicy(exchange, config.onUnknownModel, modelNotFound, exchange.model);
  }

  /** Attempts see the body as it goes on. */
  onBodyChanged(exchange: Exchange): void {
    const plan = this.stateOf(exchange).plan;
    if (plan === null || plan.place == ModelPlace.Path) return;
    plan.modelStart = exchange.modelStart;
    plan.modelEnd = exchange.modelEnd;
    plan.bodySize = exchange.bodySize;
  }

  /** Host, path and credential of a target are for that target. */
  onDiverted(exchange: Exchange): void {
    if (this.stateOf(exchange).plan !== null) property.set(PLAN_PROPERTY, DIVERTED);
  }

  onResponseHeaders(exchange: Exchange): void {
    const state = this.stateOf(exchange);
    const plan = state.plan;
    let served = state.target;
    if (plan !== null) {
      if (plan.served !== null) served = plan.served;
      else if (plan.attempts == 0) this.checkAttemptFilter();
    }
    if (served === null) return;
    this.serve(exchange, served, state.defaultModel);
    if (plan !== null && served !== plan.chosen) this.countFallback();
    if (!this.config.responseHeaders) return;
    if (exchange.servedModel.len > 0) answerHeaders.replace(MODEL_HEADER, exchange.servedModel);
    else answerHeaders.remove(MODEL_HEADER);
    answerHeaders.replace(TARGET_HEADER, exchange.target);
    const attempts = plan !== null ? plan.attempts : 1;
    answerHeaders.replace(ATTEMPTS_HEADER, text.reset().decimal(attempts).view());
  }

  onEnd(exchange: Exchange): void {
    const state = this.stateOf(exchange);
    const plan = state.plan;
    if (plan !== null) plans.release(plan);
    state.begin();
  }

  private stateOf(exchange: Exchange): RoutingState {
    return changetype<RoutingState>(unchecked(exchange.states[this.index]));
  }

  private byRule(exchange: Exchange, rule: Rule): Verdict {
    const index = rule.choose(exchange);
    exchange.rule.set(rule.name.ptr, rule.name.len);
    const model = rule.defaultModel(exchange.model, name);
    return this.go(exchange, unchecked(rule.targets[index]), unchecked(rule.values[index]), rule.fallback, model);
  }

  /** Takes the configured default, or refuses. */
  private byPolicy(exchange: Exchange, target: Target | null, refusal: Refusal | null, subject: Bytes): Verdict {
    if (target !== null) return this.go(exchange, target, target.value, null, nothing);
    if (refusal === null) return Verdict.Next;
    return this.refuse(exchange, refusal, subject);
  }

  private refuse(exchange: Exchange, refusal: Refusal, subject: Bytes): Verdict {
    refusal.send(exchange.api, subject);
    return Verdict.Answered;
  }

  /** `header` is the value of the route or cluster header; `model` the upstream name unless the target has one, empty when none is known. */
  private go(exchange: Exchange, target: Target, header: Bytes, fallback: Fallback | null, model: Bytes): Verdict {
    exchange.routed = true;
    const state = this.stateOf(exchange);
    state.target = target;
    state.defaultModel.set(model.ptr, model.len);
    this.serve(exchange, target, model);
    exchange.destination.set(header.ptr, header.len);
    if (model.len > 0) requestHeaders.replace(MODEL_HEADER, exchange.model);
    requestHeaders.replace(target.byCluster ? this.config.clusterHeader : this.config.routeHeader, header);
    const removesKeys = this.removeClientKeys(exchange, target, fallback);
    if (fallback !== null || target.needsAttempt) return this.plan(exchange, state, target, fallback, removesKeys);
    // A body that was not read has no place for another model name.
    return exchange.problem == Problem.None && !this.rename(exchange, target, model) ? this.refuse(exchange, bodyUnreadable, nothing) : Verdict.Next;
  }

  /** Notes for statistics and logs where the request went. */
  private serve(exchange: Exchange, target: Target, model: Bytes): void {
    const served = target.upstreamModel.len > 0 ? target.upstreamModel : model;
    exchange.target.set(target.name.ptr, target.name.len);
    exchange.servedModel.set(served.ptr, served.len);
  }

  /** Where a credential of ours may be sent, the client's go nowhere. True when they had to. */
  private removeClientKeys(exchange: Exchange, target: Target, fallback: Fallback | null): bool {
    let ours = target.credential !== null;
    if (fallback !== null) ours = ours || fallback.hasCredential;
    if (!ours) return false;
    const keys = this.config.clientKeys;
    for (let i = 0; i < keys.length; i++) {
      const key = unchecked(keys[i]);
      if (exchange.headers.has(key.index)) requestHeaders.remove(key.name);
    }
    return true;
  }

  private plan(exchange: Exchange, state: RoutingState, target: Target, fallback: Fallback | null, removesKeys: bool): Verdict {
    const plan = plans.take();
    state.plan = plan;
    plan.api = exchange.api;
    plan.chosen = target;
    plan.fallback = fallback;
    plan.place = exchange.problem == Problem.None || exchange.modelPlace == ModelPlace.Path ? exchange.modelPlace : ModelPlace.None;
    plan.modelStart = exchange.modelStart;
    plan.modelEnd = exchange.modelEnd;
    plan.hasMembers = exchange.hasMembers;
    plan.bodySize = exchange.bodySize;
    plan.hasContentLength = exchange.hasContentLength;
    plan.clientModel.reset();
    // A name that is cut or wrong is no target's name, even if what is left of it looks so.
    if (!exchange.modelBroken) plan.clientModel.bytes(exchange.model);
    plan.defaultModel.reset().bytes(state.defaultModel);
    state.defaultModel.set(plan.defaultModel.view().ptr, plan.defaultModel.len);
    const inPath = exchange.modelPlace == ModelPlace.Path;
    plan.setPath(exchange.path.view(), exchange.pathEnd, inPath ? exchange.modelStart : 0, inPath ? exchange.modelEnd : 0);
    plan.authority.reset().bytes(exchange.headers.read(this.config.authority, value));
    plan.dropsKeys = removesKeys && hasKeyParameter(plan.path);
    if (property.set(PLAN_PROPERTY, plans.handleOf(plan)) != Status.Ok) return this.refuse(exchange, bodyUnreadable, nothing);
    if (fallback === null) return Verdict.Next;
    requestHeaders.replace(RETRY_ON, CONDITIONS);
    requestHeaders.replace(RETRY_STATUSES, fallback.statuses);
    requestHeaders.replace(MAX_RETRIES, fallback.attempts);
    if (fallback.firstByteTimeout > 0) requestHeaders.replace(TRY_TIMEOUT, fallback.firstByteHeader);
    else if (exchange.headers.has(this.config.tryTimeout)) requestHeaders.remove(TRY_TIMEOUT);
    if (exchange.headers.has(this.config.hedge)) requestHeaders.remove(HEDGE);
    return Verdict.Next;
  }

  /** Puts the upstream's model name in place of the client's. False when the host refused. */
  private rename(exchange: Exchange, target: Target, model: Bytes): bool {
    const served = target.upstreamModel.len > 0 ? target.upstreamModel : model;
    if (served.len == 0 || exchange.modelPlace == ModelPlace.None || (served.equals(exchange.model) && !exchange.modelBroken)) return true;
    if (exchange.modelPlace == ModelPlace.Path) return this.renameInPath(exchange, served);
    const start = exchange.modelStart;
    const end = exchange.modelEnd;
    return exchange.edit(start, end, writeModel(text.reset(), exchange.modelPlace, start == end, exchange.hasMembers, served).view());
  }

  private renameInPath(exchange: Exchange, served: Bytes): bool {
    const whole = exchange.path.view();
    path.text.set(whole.ptr, whole.len);
    path.end = exchange.pathEnd;
    path.modelStart = exchange.modelStart;
    path.modelEnd = exchange.modelEnd;
    writePath(text.reset(), path, false, nothing, nothing, served, false);
    return headers.replace(MapType.HttpRequestHeaders, PATH, text.view()) == Status.Ok;
  }

  private countFallback(): void {
    let metric = this.fallbacks;
    if (metric === null) {
      metric = Metric.counter("tokenmesh_llm_router_fallbacks");
      this.fallbacks = metric;
    }
    metric.add(1);
  }

  /** An endpoint answered and no attempt filter ran: the request went there as the client sent it, without our credential. */
  private checkAttemptFilter(): void {
    if (this.warned || property.get(UPSTREAM_ADDRESS, value) != Status.Ok) return;
    this.warned = true;
    log.text(
      LogLevel.Error,
      "llm-router: the attempt filter did not run, so host, path, credential and model of the target were not written. " +
        "Add a Wasm filter with root_id llm-router-attempt and the same vm_config to upstream_http_filters of the router filter.",
    );
  }
}
