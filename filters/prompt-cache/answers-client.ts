/**
 * Asks the service that keeps answers for all Envoys, and hears from it what was purged.
 *
 *   get      for a request that waits; its answer, or nothing, comes to `AnswersSink.found`
 *   put      what was stored here, and goes its way: nobody waits for it
 *   purges   one call that the service answers when there is something new, asked again at once
 *
 * After three failures in a row it is not asked for a second, so that requests do not wait in vain.
 */
import { Exchange } from "../pipeline/exchange";
import { StageHost } from "../pipeline/stage";
import { Bytes, ByteWriter, IdTable, property, Status } from "../sdk";
import { Purge, PurgeList } from "../state/purge-list";
import { CacheEvent, CacheMetrics } from "./cache-metrics";
import { CacheState } from "./cache-state";
import { AnswerServiceConfig } from "./config";
import { PurgeOrder, PurgesAnswer, PurgeSink, readGet, readPurges, readPut, StoredValue, WantedReplay, writeGet, writePurges } from "./service-messages";

const SERVICE = Bytes.literal("tokenmesh.answers.v1.Answers");
const GET = Bytes.literal("Get");
const PUT = Bytes.literal("Put");
const NODE_ID = Bytes.literal("xds\0node\0id");
const PURGES = Bytes.literal("Purges");

/** Failures in a row after which the service is left alone, and for how long, in ms. */
const FAILURES: i32 = 3;
const PAUSE: i64 = 1000;
/** How long the service waits for a purge, and what its answer may take besides. */
const PURGE_WAIT: i32 = 10_000;
const PURGE_SLACK: i32 = 5_000;
/** Of a put, in ms: nobody waits. */
const PUT_TIMEOUT: i32 = 5_000;
/** Largest entry that the service takes. */
const MOST_VALUE: i32 = 4_190_208;
/** Puts under way: more are left out. */
const MOST_PUTS: i32 = 64;

const value = new StoredValue();
const replay = new WantedReplay();
const name = new Bytes();

export interface AnswersSink {
  /** What the service has for the request; empty for nothing, and when it cannot be asked. Borrowed. */
  found(exchange: Exchange, value: StoredValue): void;
}

@final
export class AnswersClient implements PurgeSink {
  private readonly gets: IdTable<Exchange> = new IdTable<Exchange>();
  private readonly puts: IdTable<CacheMetrics> = new IdTable<CacheMetrics>();
  private purgesCall: u32 = 0;
  private listenAt: i64 = 0;
  private heardAt: i64 = 0;
  /** Some of the purges that came could not be written: they are asked for again. */
  private lost: bool = false;
  private readonly heard: PurgesAnswer = new PurgesAnswer();
  private readonly order: PurgeOrder = new PurgeOrder();
  private readonly envoy: Bytes;
  private failures: i32 = 0;
  private pausedUntil: i64 = 0;

  constructor(
    /** Null: it only says what was purged. */
    private readonly config: AnswerServiceConfig | null,
    private readonly purgeCluster: Bytes,
    private readonly metrics: CacheMetrics,
    private readonly purges: PurgeList,
    private readonly sink: AnswersSink,
  ) {
    this.envoy = property.get(NODE_ID, name) == Status.Ok ? name.copy() : new Bytes();
  }

  /** How long the service keeps what it gets, in ms. */
  get ttlMs(): i64 {
    const config = this.config;
    return config === null ? 0 : config.ttlMs;
  }

  /** Asks for the entry of a request. The id of the call; 0 when it is not asked. */
  get(host: StageHost, exchange: Exchange, state: CacheState, now: i64): u32 {
    const config = this.config;
    if (config === null || now < this.pausedUntil) return 0;
    const rule = state.rule;
    replay.speedPercent = rule !== null && exchange.streaming ? rule.speedPercent : 0;
    replay.maxGapMs = rule !== null ? rule.maxGapMs : 0;
    replay.of = state.replayOf;
    replay.showKey = rule !== null && rule.showKey;
    let question = state.question;
    // The answer to the very question is here: no other will do.
    if (replay.of > 0) question = null;
    const message = writeGet(state.low, state.high, state.tenant, state.model, question, replay);
    const id = host.startCall(config.cluster, SERVICE, GET, message, config.timeoutMs);
    if (id == 0) this.failed(CacheEvent.ServiceFailed, now);
    else this.gets.set(id, exchange);
    return id;
  }

  /** Nobody waits for that call any more. */
  forget(id: u32): void {
    this.gets.delete(id);
  }

  /** An entry of so many bytes may be put now. */
  canPut(size: i32, now: i64): bool {
    return this.config !== null && size <= MOST_VALUE && now >= this.pausedUntil && this.puts.size < MOST_PUTS;
  }

  /** Sends what `beginPut` has begun. */
  put(host: StageHost, message: ByteWriter, now: i64): void {
    const config = this.config;
    if (config === null) return;
    const id = host.startCall(config.cluster, SERVICE, PUT, message.view(), PUT_TIMEOUT);
    if (id == 0) this.failed(CacheEvent.PutFailed, now);
    else this.puts.set(id, this.metrics);
  }

  /** Waits for purges, if nobody does. */
  listen(host: StageHost, now: i64): void {
    if (this.purgesCall != 0 || now < this.listenAt) return;
    this.listenAt = now + PAUSE;
    const message = writePurges(this.purges.epoch, this.purges.sequence, this.envoy, PURGE_WAIT);
    this.purgesCall = host.startCall(this.purgeCluster, SERVICE, PURGES, message, PURGE_WAIT + PURGE_SLACK);
  }

  /** The answer of a call, null when it failed. True when it was one of these. */
  receive(host: StageHost, id: u32, message: Bytes | null, now: i64): bool {
    if (id == this.purgesCall && id != 0) {
      this.purgesCall = 0;
      this.hear(host, message, now);
      return true;
    }
    const exchange = this.gets.get(id);
    if (exchange !== null) {
      this.gets.delete(id);
      if (message !== null && readGet(message, value)) this.failures = 0;
      else {
        value.bytes.clear();
        value.replays = false;
        this.failed(CacheEvent.ServiceFailed, now);
      }
      this.sink.found(exchange, value);
      return true;
    }
    if (this.puts.get(id) === null) return false;
    this.puts.delete(id);
    if (message === null || !readPut(message)) this.metrics.happened(CacheEvent.PutFailed, 1);
    return true;
  }

  purge(answer: PurgesAnswer, order: PurgeOrder): void {
    this.metrics.happened(CacheEvent.Purged, 1);
    // By this Envoy's clock, whatever the service's.
    const at = this.heardAt - max<i64>(answer.nowMs - order.atMs, 0);
    if (!this.purges.add(<Purge>order.kind, order.low, order.high, at, this.heardAt)) this.lost = true;
  }

  private hear(host: StageHost, message: Bytes | null, now: i64): void {
    const heard = this.heard;
    const purges = this.purges;
    heard.epoch = 0;
    heard.sequence = 0;
    heard.nowMs = 0;
    this.heardAt = now;
    this.lost = false;
    if (message === null || !readPurges(message, heard, this.order, this) || this.lost) return;
    const news = heard.epoch != purges.epoch || heard.sequence != purges.sequence;
    if (news && !purges.follow(heard.epoch, heard.sequence, now)) return;
    // One that answers at once with nothing is asked on the next ticks.
    if (news) this.listenAt = 0;
    this.listen(host, now);
  }

  private failed(event: CacheEvent, now: i64): void {
    this.metrics.happened(event, 1);
    if (++this.failures < FAILURES) return;
    this.failures = 0;
    this.pausedUntil = now + PAUSE;
  }
}
