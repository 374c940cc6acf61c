/**
 * Picks the endpoint that a request goes to: the one whose engine has the beginning of the prompt in its cache, unless it is much busier than the others; or by another
 * policy. The choice is written to a header that Envoy's override_host load balancing obeys, with two more endpoints behind it for retries.
 *
 *   request   pool, prompt, pick; headers. Counted as in flight when it is sent on
 *   answer    who it is from, and whether that is a failure; first byte: the prompt has been computed
 *   end       in flight no more; what the engine says of its cache corrects what was predicted
 *
 * Design and numbers of the default policy: lib/pick/prefix-affinity.ts.
 */
import { PickRequest } from "../lib/pick/pick-request";
import { Policy } from "../lib/pick/pool-settings";
import { xxhash64 } from "../lib/xxhash64";
import { Exchange } from "../pipeline/exchange";
import { noEndpoint, poolSaturated, Refusal } from "../pipeline/refusal";
import { requestHeaders } from "../pipeline/request-headers";
import { DESTINATION } from "../pipeline/reserved-headers";
import { Stage, StageState, Verdict } from "../pipeline/stage";
import { Bytes, ByteWriter, hexDigit, log, LogLevel, property, random, Status, time } from "../sdk";
import { PickerConfig } from "./config";
import { PickerAnswers } from "./picker-answers";
import { Pick } from "./picker-metrics";
import { BLOCK_BYTES, hashOf, ownLocality, PickerPool, pickerPools } from "./picker-pool";
import { PickerLoads } from "./picker-loads";
import { PickerState } from "./picker-state";
import { PoolConfig } from "./pool-config";
import { prefixChain, readPrefix } from "./prompt-prefix";
import { hashParts, requestKey } from "./request-key";
import { readSubset } from "./subset";

const PREFIX_HEADER = Bytes.literal("x-llm-prefix");
const PLUGIN_NAME = Bytes.literal("plugin_name");
/** Asks for a report with the answer: picker-answers.ts. */
const LOAD_FORMAT = Bytes.literal("endpoint-load-metrics-format");
const TEXT_FORMAT = Bytes.literal("TEXT");
const NS_PER_MS: u64 = 1_000_000;

/** One for all streams: a request is picked for within one callback. */
const request = new PickRequest();
const text = new ByteWriter();
const value = new Bytes();
const nothing = new Bytes();
/** Whose prompt `request` and `prefixChain` still hold. */
let picked: PickerState | null = null;
/** Who was sent with the prompt that `prefixChain` holds, which is not in the index yet: that can wait, and the request cannot. */
let unnoted: PickerState | null = null;

@final
export class PickerStage extends Stage {
  /** Null for a pool whose endpoints are not known. */
  private readonly pools: (PickerPool | null)[];
  private readonly loads: PickerLoads;
  private readonly answers: PickerAnswers;
  private readonly counting: PickerPool[];
  private readonly owner: u32;
  private seed: u64;
  /** ms, as of the last time that anybody asked. */
  private now: i64 = 0;

  constructor(
    private readonly config: PickerConfig,
    private readonly tokensPerByte: f64,
  ) {
    super();
    this.needsChat = config.needsChat;
    this.needsPrompt = config.needsPrompt;
    this.seed = random.bits() | 1;
    const owner = pickerPools.nextOwner();
    this.owner = owner;
    const now = <i64>(time.now() / NS_PER_MS);
    const scope = property.get(PLUGIN_NAME, value) == Status.Ok ? hashOf(value) : 0;
    const own = ownLocality();
    const names: Bytes[] = [];
    const pools: (PickerPool | null)[] = [];
    const counting: PickerPool[] = [];
    for (let i = 0; i < config.pools.length; i++) {
      const pool = config.pools[i];
      const picker = pool.picks ? pickerPools.take(pool, config.pools.length, scope, own, tokensPerByte, owner, now) : null;
      pools.push(picker);
      if (picker === null) continue;
      counting.push(picker);
      names.push(pool.name);
    }
    this.pools = pools;
    this.counting = counting;
    this.answers = new PickerAnswers(config.servedHeader);
    this.loads = new PickerLoads(counting, owner, config.feed, names, scope);
    log.text(LogLevel.Info, "endpoint picker: " + config.pools.length.toString() + " pools in force");
  }

  createState(): StageState {
    return new PickerState();
  }

  onRequest(exchange: Exchange): Verdict {
    const index = this.find(exchange);
    if (index < 0) return Verdict.Next;
    exchange.routed = true;
    noteSent();
    const config = unchecked(this.config.pools[index]);
    const picker = unchecked(this.pools[index]);
    const hasPrefix = config.needsPrompt && readPrefix(exchange, this.salt(exchange));
    const prefix = hasPrefix ? prefixChain.key(this.prefixBlocks(config)) : 0;
    if (hasPrefix) writePrefix(prefix);
    return picker === null ? Verdict.Next : this.pick(exchange, config, picker, hasPrefix, prefix);
  }

  onSend(exchange: Exchange): void {
    const state = this.stateOf(exchange);
    const picker = state.pool;
    if (picker === null || state.list.count == 0) return;
    // A request that was held: what it was picked by belongs to another one by now.
    if (picked !== state) {
      request.reset(this.now, 0);
      if (!this.stillThere(state, picker)) return;
    }
    picked = null;
    state.blocks = request.blocks;
    request.blocks = 0;
    picker.pool.sent(request, state.list, state.ticket);
    if (state.blocks > 0) unnoted = state;
    this.loads.onSend(this.now);
  }

  onResponseHeaders(exchange: Exchange): void {
    const state = this.stateOf(exchange);
    const picker = state.pool;
    if (picker !== null) this.answers.hear(exchange, state, picker, this.now);
  }

  onResponseTrailers(exchange: Exchange): void {
    const state = this.stateOf(exchange);
    const picker = state.pool;
    if (picker !== null) this.answers.hearTrailers(state, picker, this.now);
  }

  onFirstByte(exchange: Exchange): void {
    const state = this.stateOf(exchange);
    const picker = state.pool;
    if (picker === null || state.failed || state.tellsNothing) return;
    // Ticks come every few milliseconds while anything is in flight: that is exact enough, unless the time itself is what is gone by.
    const exact = picker.settings.policy == Policy.LeastResponseTime;
    picker.pool.firstByte(state.ticket, exact ? this.readTime() : this.now);
  }

  onEnd(exchange: Exchange): void {
    const state = this.stateOf(exchange);
    const picker = state.pool;
    if (picked === state) picked = null;
    noteSent();
    if (picker !== null) this.answers.settle(exchange, state, picker, this.now);
    state.begin();
  }

  onTick(): void {
    this.turn();
    this.loads.show(this.now);
    for (let i = 0; i < this.counting.length; i++) this.counting[i].metrics.flush();
  }

  onMoment(): bool {
    return this.turn();
  }

  onCallAnswer(callId: u32, message: Bytes | null): bool {
    return this.loads.onCallAnswer(callId, message, this.readTime());
  }

  onGone(): void {
    noteSent();
    const now = this.readTime();
    this.loads.leave(now);
    pickerPools.release(this.owner, now);
  }

  private turn(): bool {
    noteSent();
    const host = this.host;
    return host !== null && this.counting.length > 0 && this.loads.turn(this.readTime(), host);
  }

  private readTime(): i64 {
    this.now = <i64>(time.now() / NS_PER_MS);
    return this.now;
  }

  private stateOf(exchange: Exchange): PickerState {
    return changetype<PickerState>(unchecked(exchange.states[this.index]));
  }

  /** The first pool that the request belongs to, or -1. */
  private find(exchange: Exchange): i32 {
    const pools = this.config.pools;
    for (let i = 0; i < pools.length; i++) {
      const pool = unchecked(pools[i]);
      if (pool.isTarget(exchange.destination) && pool.match.holds(exchange)) return i;
    }
    return -1;
  }

  /** Prompts of tenants have nothing in common. */
  private salt(exchange: Exchange): Bytes {
    if (this.config.tenantHeader < 0) return nothing;
    return exchange.headers.read(this.config.tenantHeader, value);
  }

  /** By the configured ratio, not the learned one: keys must stay as they are. */
  private prefixBlocks(config: PoolConfig): i32 {
    return max(1, <i32>Math.round(<f64>config.prefixTokens / (<f64>BLOCK_BYTES * this.tokensPerByte)));
  }

  private pick(exchange: Exchange, config: PoolConfig, picker: PickerPool, hasPrefix: bool, prefix: u64): Verdict {
    const state = this.stateOf(exchange);
    const now = this.readTime();
    const pool = picker.pool;
    if (picker.owner != this.owner) picker.turnTo(this.owner, now);
    this.loads.onRequest(now);
    const host = this.host;
    if (host !== null) host.hurry();
    request.reset(now, this.nextRandom());
    const bytes = hasPrefix ? prefixChain.bytes : <u32>exchange.bodySize;
    request.tokens = <i32>(<f64>bytes * picker.tokensPerByte);
    request.blockTokens = <f64>BLOCK_BYTES * picker.tokensPerByte;
    if (hasPrefix) {
      request.chain = prefixChain.chain;
      request.blocks = prefixChain.blocks;
    }
    setKey(exchange, config, hasPrefix, prefix);
    setModel(exchange);
    const subset = config.subset;
    if (subset !== null) readSubset(subset, exchange, pool.endpoints, picker, request);
    const hinted = request.hasSubset;
    picker.restrict(request);
    const shed = config.shed;
    if (shed !== null && shed.concerns(exchange) && pool.saturation(now, <f64>shed.waiting, <f64>shed.kvPermille) >= 1) {
      return this.refuse(exchange, picker, poolSaturated, Pick.Shed);
    }
    if (!pool.pick(request, state.list)) {
      if (config.refuses || hinted) return this.refuse(exchange, picker, noEndpoint, Pick.Refused);
      picker.metrics.picked(Pick.Fallback);
      return Verdict.Next;
    }
    state.pool = picker;
    state.tokens = request.tokens;
    state.promptBytes = hasPrefix ? bytes : 0;
    picked = state;
    picker.metrics.picked(state.list.matched > 0 ? Pick.Affinity : request.hasKey ? Pick.Key : Pick.Load);
    this.write(state, picker);
    state.asksLoad = config.orca;
    if (config.orca) requestHeaders.replace(LOAD_FORMAT, TEXT_FORMAT);
    return Verdict.Next;
  }

  /** Names the endpoints of the list, best first. */
  private write(state: PickerState, picker: PickerPool): void {
    const list = state.list;
    text.reset();
    for (let i = 0; i < list.count; i++) {
      if (i > 0) text.byte(0x2c);
      text.bytes(picker.address(list.slot(i)));
    }
    requestHeaders.replace(DESTINATION, text.view());
  }

  /** Endpoints may have gone while the request was held. False: all of the list have. */
  private stillThere(state: PickerState, picker: PickerPool): bool {
    const list = state.list;
    const members = picker.pool.endpoints.members;
    const before = list.count;
    for (let i = list.count - 1; i >= 0; i--) if (!members.has(list.slot(i))) list.drop(i);
    if (list.count == before) return true;
    if (list.count > 0) {
      this.write(state, picker);
      return true;
    }
    requestHeaders.remove(DESTINATION);
    state.pool = null;
    return false;
  }

  private refuse(exchange: Exchange, picker: PickerPool, refusal: Refusal, how: Pick): Verdict {
    picker.metrics.picked(how);
    refusal.send(exchange.api, nothing);
    return Verdict.Answered;
  }

  /** Xorshift: good enough for a draw. Reference: G. Marsaglia, "Xorshift RNGs", 2003. */
  private nextRandom(): u64 {
    let x = this.seed;
    x ^= x << 13;
    x ^= x >> 7;
    x ^= x << 17;
    this.seed = x;
    return x;
  }
}

/** Whoever was sent last has its prompt in the cache. Before another prompt is read, anything is told or anybody is picked for. */
function noteSent(): void {
  const state = unnoted;
  if (state === null) return;
  unnoted = null;
  const picker = state.pool;
  if (picker !== null) picker.pool.cached(state.ticket, prefixChain.chain, state.blocks);
}

/** 16 hex digits. */
function writePrefix(key: u64): void {
  text.reset();
  for (let shift = 60; shift >= 0; shift -= 4) text.byte(hexDigit(<u8>((key >> shift) & 15)));
  requestHeaders.replace(PREFIX_HEADER, text.view());
}

/** What the request sticks to, if its pool's policy goes by that. */
function setKey(exchange: Exchange, config: PoolConfig, hasPrefix: bool, prefix: u64): void {
  if (config.settings.policy == Policy.ConsistentHash) {
    request.hasKey = hashParts(config.key, exchange, prefix, hasPrefix);
    request.key = requestKey.hash;
  } else if (config.settings.policy == Policy.PrefixAffinity) {
    request.hasKey = hasPrefix;
    request.key = prefix;
  }
}

/** Engines know a model, or an adapter, by the name that goes to them. */
function setModel(exchange: Exchange): void {
  const name = exchange.servedModel.len > 0 ? exchange.servedModel : exchange.model;
  if (name.len == 0) return;
  request.model = xxhash64(name.ptr, name.len, 0);
  request.adapter = request.model;
}
