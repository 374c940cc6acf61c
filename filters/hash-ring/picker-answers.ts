/**
 * What an answer tells of the endpoint that it is from: who it was, whether it failed, how busy it is, and at last how much of the prompt was in its cache.
 */
import { OrcaReport } from "../lib/orca-report";
import { Pool } from "../lib/pick/pool";
import { Outcome, Ticket } from "../lib/pick/ticket";
import { answerHead } from "../pipeline/answer-head";
import { answerHeaders } from "../pipeline/answer-headers";
import { Exchange } from "../pipeline/exchange";
import { Refusal, upstreamProtocolError, upstreamTimeout, upstreamUnreachable } from "../pipeline/refusal";
import { Bytes, headers, MapType, property, Status } from "../sdk";
import { Served, Tokens } from "./picker-metrics";
import { hashOf, PickerPool } from "./picker-pool";
import { PickerState } from "./picker-state";

const UPSTREAM_ADDRESS = Bytes.literal("upstream\0address");
const RESPONSE_CODE = Bytes.literal("response\0code");
const ATTEMPTS = Bytes.literal("upstream\0request_attempt_count");
/** Reference: ORCA, as vLLM understands it. */
const LOAD = Bytes.literal("endpoint-load-metrics");

const value = new Bytes();
const load = new Bytes();
const report = new OrcaReport();

@final
export class PickerAnswers {
  /** `servedHeader`: of answers, names the endpoint; empty for none. */
  constructor(private readonly servedHeader: Bytes) {}

  /** Headers of an answer, or Envoy's own. Two hostcalls, one where the headers have been read. */
  hear(exchange: Exchange, state: PickerState, picker: PickerPool, now: i64): void {
    const own = exchange.ownAnswer;
    if (own !== null) {
      state.failed = blames(own);
      state.tellsNothing = !state.failed;
      if (state.failed) picker.metrics.answered(Served.Failed);
      return;
    }
    const status = answerHead.isRead() ? <i64>answerHead.status() : property.integer(RESPONSE_CODE, 0);
    state.failed = status >= 500;
    if (property.get(UPSTREAM_ADDRESS, value) == Status.Ok && value.len > 0) this.servedBy(state, picker, now);
    else state.tellsNothing = true;
  }

  /** The endpoint in `value` answered. */
  private servedBy(state: PickerState, picker: PickerPool, now: i64): void {
    const pool = picker.pool;
    const slot = pool.endpoints.find(hashOf(value));
    const ticket = state.ticket;
    if (slot < 0) {
      picker.metrics.answered(Served.Elsewhere);
      // A fallback: the answer says nothing of our endpoint, but that there had to be one does.
      if (ticket.open && property.integer(ATTEMPTS, 1) > 1) blame(pool, ticket, now);
      state.tellsNothing = true;
    } else if (ticket.open && slot != ticket.slot) {
      picker.metrics.answered(Served.Moved);
      if (property.integer(ATTEMPTS, 1) > 1) blame(pool, ticket, now);
      pool.served(ticket, slot, 0, 0, now);
    } else {
      picker.metrics.answered(state.failed ? Served.Failed : Served.Served);
    }
    state.servedSlot = state.asksLoad ? slot : -1;
    if (state.servedSlot >= 0 && readLoad(MapType.HttpResponseHeaders, pool, slot, now)) answerHeaders.remove(LOAD);
    if (this.servedHeader.len > 0) answerHeaders.replace(this.servedHeader, value);
  }

  /** Trailers of an answer: what its headers could not know yet. A hostcall where endpoints are asked for their load, and one to take the report away. */
  hearTrailers(state: PickerState, picker: PickerPool, now: i64): void {
    if (state.servedSlot >= 0 && readLoad(MapType.HttpResponseTrailers, picker.pool, state.servedSlot, now)) headers.remove(MapType.HttpResponseTrailers, LOAD);
  }

  /** The stream is over. */
  settle(exchange: Exchange, state: PickerState, picker: PickerPool, now: i64): void {
    const ticket = state.ticket;
    const predicted = ticket.predicted;
    const wasSent = ticket.open;
    const abandoned = state.tellsNothing || (!state.failed && !exchange.answered);
    picker.pool.done(ticket, now, state.failed ? Outcome.Failure : abandoned ? Outcome.Abandoned : Outcome.Success);
    if (!wasSent || state.failed || state.tellsNothing) return;
    const usage = exchange.usage;
    const input = usage.inputTotal;
    const metrics = picker.metrics;
    metrics.count(Tokens.All, input > 0 ? input : <i64>state.tokens);
    if (input <= 0) {
      metrics.count(Tokens.Predicted, predicted);
      return;
    }
    picker.learn(state.promptBytes, input);
    // The prediction is a share of what the prompt was taken for.
    const scaled = state.tokens > 0 ? <i64>(<f64>predicted * <f64>input / <f64>state.tokens) : 0;
    metrics.count(Tokens.Predicted, min(scaled, input));
    if (usage.cached < 0) return;
    metrics.count(Tokens.Cached, usage.cached);
    picker.pool.correct(ticket, <i32>min<i64>(scaled, i32.MAX_VALUE), <i32>min<i64>(usage.cached, i32.MAX_VALUE));
  }
}

/** What the endpoint says of its load with this answer. True when it says anything: clients do not get it. */
function readLoad(type: MapType, pool: Pool, slot: i32, now: i64): bool {
  if (headers.get(type, LOAD, load) != Status.Ok) return false;
  if (report.read(load.ptr, load.len)) {
    const engines = pool.endpoints.engines;
    const known = engines.fresh(slot, now);
    const waiting = report.waiting >= 0 ? report.waiting : known ? engines.waiting(slot) : 0;
    const running = report.running >= 0 ? report.running : known ? engines.running(slot) : 0;
    const cache = report.kvPermille >= 0 ? report.kvPermille : known ? engines.kvPermille(slot) : 0;
    pool.endpoints.updateSnapshot(slot, now, waiting, running, cache);
  }
  return true;
}

/** The endpoint of choice was tried, and somebody else had to answer. */
function blame(pool: Pool, ticket: Ticket, now: i64): void {
  pool.endpoints.quarantine.fail(ticket.slot, ticket.episode, now);
}

/** Envoy's own answer is about the endpoint, not about the route, the client or the whole cluster. */
function blames(answer: Refusal): bool {
  return answer === upstreamUnreachable || answer === upstreamTimeout || answer === upstreamProtocolError;
}
