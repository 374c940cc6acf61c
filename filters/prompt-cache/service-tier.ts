/** The answers behind those of this Envoy: what the service that all Envoys share is asked, told, and believed. */
import { Exchange } from "../pipeline/exchange";
import { Stage } from "../pipeline/stage";
import { Bytes, time } from "../sdk";
import { FLAG_STREAM } from "../state/answer-entry";
import { PurgeList } from "../state/purge-list";
import { WorkerSlots } from "../state/worker-slots";
import { answer, isTooOld } from "./answer-memory";
import { AnswersClient, AnswersSink } from "./answers-client";
import { CacheMetrics } from "./cache-metrics";
import { CacheState, MS } from "./cache-state";
import { PromptCacheConfig } from "./config";
import { MOST_TEXT } from "./question";
import { beginPut, StoredValue } from "./service-messages";

/** What tells the numbers of workers here from those of others with the same scope. */
const LISTENERS: u64 = 0x746c_6973_7465_6e73;

@final
export class ServiceTier {
  private stage: Stage | null = null;
  private readonly client: AnswersClient;
  /** Which workers listen for purges. */
  private readonly listeners: WorkerSlots;

  constructor(
    config: PromptCacheConfig,
    private readonly metrics: CacheMetrics,
    private readonly purges: PurgeList,
    scope: u64,
    sink: AnswersSink,
  ) {
    this.client = new AnswersClient(config.service, config.purgeCluster, metrics, purges, sink);
    this.listeners = new WorkerSlots(scope ^ LISTENERS);
  }

  belong(stage: Stage): void {
    this.stage = stage;
  }

  /** Asks for the answer of a request. False when it cannot be asked. */
  ask(exchange: Exchange, state: CacheState): bool {
    const host = this.stage!.host;
    if (host === null) return false;
    const id = this.client.get(host, exchange, state, state.at);
    if (id == 0) return false;
    state.callId = id;
    state.askedAt = time.now();
    return true;
  }

  /** It has answered a request: `state.at` is now. */
  answered(state: CacheState): void {
    state.callId = 0;
    const now = time.now();
    this.metrics.asked(now - state.askedAt);
    state.at = <i64>(now / MS);
  }

  /** What it sent is an answer to this request, and fresh: it is in `answer` then. */
  fits(exchange: Exchange, state: CacheState, value: StoredValue): bool {
    if (!answer.read(value.bytes)) return false;
    const meta = answer.meta;
    if (meta.api != <u8>exchange.api || ((meta.flags & FLAG_STREAM) != 0) != exchange.streaming) return false;
    if (meta.tenant != state.tenant || meta.model != state.model || state.at >= meta.expiresAt || isTooOld(state)) return false;
    this.purges.refresh(state.at);
    const own = value.similarity == 0;
    return this.purges.isKnown && !this.purges.isDead(own ? state.low : value.low, own ? state.high : value.high, meta);
  }

  /** Tells it what was stored, and when its pieces came: `pace`, empty when that is not known. */
  put(state: CacheState, value: Bytes, pace: Bytes, now: i64): void {
    const client = this.client;
    const host = this.stage!.host;
    if (host === null || !client.canPut(value.len + pace.len, now)) return;
    // One that leaves no room for the words is found by its key only.
    const asked = client.canPut(value.len + pace.len + MOST_TEXT, now) ? state.question : null;
    client.put(host, beginPut(state.low, state.high, client.ttlMs, asked, pace, value.len).bytes(value), now);
  }

  /** The request waits for it no more. */
  forget(state: CacheState): void {
    if (state.callId != 0) this.client.forget(state.callId);
  }

  /** One worker of the Envoy hears of purges, whether there is traffic or not. */
  listen(now: i64): void {
    const listeners = this.listeners;
    const host = this.stage!.host;
    if (host === null) return;
    listeners.traffic(now);
    if (!listeners.tick(now)) return;
    const before = (<u64>1 << listeners.index) - 1;
    if ((listeners.alive & before) == 0) this.client.listen(host, now);
  }

  /** As `Stage.onCallAnswer`. */
  receive(id: u32, message: Bytes | null, now: i64): bool {
    const host = this.stage!.host;
    return host !== null && this.client.receive(host, id, message, now);
  }

  onGone(): void {
    this.listeners.leave();
  }
}
