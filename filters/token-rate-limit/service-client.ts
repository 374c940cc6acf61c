/**
 * Asks a Rate Limit Service for budgets, and tells it what was used of them.
 *
 *   reserve   what a request needs, in one call for all rules: all of it or nothing
 *   lease     a share of a budget for requests to come
 *   settle    what a request used. It goes along with the next call, or on a tick, so a request costs one call. tokenmesh's ledger takes the difference to what was
 *             reserved, under a name, so that what was told in vain can be told again and counts once. Other services are charged what is missing, once,
 *             and given back what was too much only if they know how
 *
 * A reservation is asked for once: when its answer is lost, what the service has charged stays charged. After three failures in a row the service is
 * not asked for a second, so that requests do not wait in vain; then the next call tries it.
 */
import { MAX_STATUSES, RateLimitAnswer, RateLimitCode, RateLimitStatus } from "../lib/rate-limit-answer";
import { RateLimitCall, RateLimitUnit } from "../lib/rate-limit-call";
import { Exchange } from "../pipeline/exchange";
import { StageHost } from "../pipeline/stage";
import { Bytes, ByteWriter, IdTable } from "../sdk";
import { callerName } from "./caller-name";
import { RateLimitService } from "./remote-service";
import { RateLimitRule } from "./rule";
import { ServiceClaim, ServiceClaimState } from "./service-claim";
import { Call, CallOutcome, ServiceMetrics } from "./service-metrics";

const SERVICE = Bytes.literal("envoy.service.ratelimit.v3.RateLimitService");
const METHOD = Bytes.literal("ShouldRateLimit");
const RULE = Bytes.literal("rule");
const LIMIT = Bytes.literal("limit");
const SETTLE = Bytes.literal("tokenmesh.settle");
const RESERVED = Bytes.literal("tokenmesh.reserved");
const MODEL = Bytes.literal("tokenmesh.model");
const ID = Bytes.literal("tokenmesh.id");

/** Failures in a row after which the service is left alone, and for how long, in ms. */
const FAILURES: i32 = 3;
const PAUSE: i64 = 1000;
/** Settles that wait to be tried again, per VM. */
const MOST_WAITING: i32 = 1024;
/** The ledger knows the name of a call for ten minutes: 0.5 s, 1 s, 2 s ... make four. */
const TRIES: i32 = 9;
const FIRST_PAUSE: i64 = 500;
/** Claims that are kept for reuse. */
const MOST_SPARE: i32 = 1024;

const call = new RateLimitCall();
const text = new ByteWriter();
const message = new Bytes();

/** A call under way: what is asked for, if anything, and whose settles go with it. */
@final
class ServiceCall {
  asking: ServiceClaim | null = null;
  /** Place of the first descriptor of `asking`: those of the settles stand in front. */
  first: i32 = 0;
  readonly settling: ServiceClaim[] = [];
}

@final
export class ServiceClient {
  /** Of the call that `receive` has taken: the claim that asked, null when nobody did; whether the service said what is to be done; and whether it refuses. */
  asking: ServiceClaim | null = null;
  understood: bool = false;
  overLimit: bool = false;

  private first: i32 = 0;
  private readonly answer: RateLimitAnswer = new RateLimitAnswer();
  private readonly calls: IdTable<ServiceCall> = new IdTable<ServiceCall>();
  private readonly spareCalls: ServiceCall[] = [];
  private readonly spareClaims: ServiceClaim[] = [];
  /** Requests that are over, of which the service does not know yet. They go with the next call. */
  private readonly finished: ServiceClaim[] = [];
  /** Those that it was told of in vain. */
  private readonly failed: ServiceClaim[] = [];
  private readonly name: Bytes;
  private lastNumber: u64 = 0;
  private failures: i32 = 0;
  private pausedUntil: i64 = 0;

  constructor(
    private readonly service: RateLimitService,
    private readonly rules: RateLimitRule[],
    private readonly metrics: ServiceMetrics,
  ) {
    this.name = callerName();
  }

  /** A claim without descriptors. */
  begin(state: ServiceClaimState, exchange: Exchange | null, model: Bytes, now: i64): ServiceClaim {
    const claim = this.spareClaims.length > 0 ? this.spareClaims.pop() : new ServiceClaim();
    claim.begin(state, exchange, now, ++this.lastNumber);
    claim.model.raw(model.ptr, min(model.len, MOST_MODEL));
    return claim;
  }

  end(claim: ServiceClaim): void {
    claim.end();
    if (this.spareClaims.length < MOST_SPARE) this.spareClaims.push(claim);
  }

  /** Asks for what the claim has descriptors of. False when the service is not asked now; then nobody will answer. */
  ask(host: StageHost, claim: ServiceClaim, now: i64): bool {
    const kind = kindOf(claim);
    if (this.isLeftAlone(now)) {
      this.metrics.call(kind, CallOutcome.Skipped);
      return false;
    }
    const record = this.newCall();
    call.begin(this.service.domain.ptr, this.service.domain.len);
    record.first = this.writeFinished(record, MAX_STATUSES - claim.count);
    record.asking = claim;
    for (let i = 0; i < claim.count; i++) {
      this.writeBudget(claim, i);
      if (this.service.ledger) entry(MODEL, claim.model.view());
      call.hits(unchecked(claim.asked[i]), false);
    }
    if (this.start(host, record)) return true;
    record.asking = null;
    this.countFailure(kind, now);
    this.callFailed(record, now);
    return false;
  }

  /** Tells what was used, `claim.used`, with the next call. The claim is the client's from now on. */
  settle(claim: ServiceClaim): void {
    claim.exchange = null;
    if (this.descriptors(claim) == 0) {
      this.end(claim);
    } else if (this.finished.length == MOST_WAITING) {
      this.metrics.settlesLost++;
      this.end(claim);
    } else this.finished.push(claim);
  }

  /** Takes the answer to a call, or that there is none. False when it is not a call of this client. */
  receive(callId: u32, message: Bytes | null, now: i64): bool {
    const record = this.calls.get(callId);
    if (record === null) return false;
    this.calls.delete(callId);
    const asking = record.asking;
    this.asking = asking;
    this.first = record.first;
    this.readAnswer(asking, message, record.first);
    const kind = asking === null ? Call.Settle : kindOf(asking);
    if (this.understood) {
      this.failures = 0;
      this.pausedUntil = 0;
      this.metrics.up = true;
      this.metrics.call(kind, this.overLimit ? CallOutcome.OverLimit : CallOutcome.Ok);
      for (let i = 0; i < record.settling.length; i++) this.end(unchecked(record.settling[i]));
      this.endCall(record);
    } else {
      this.countFailure(kind, now);
      this.callFailed(record, now);
    }
    return true;
  }

  /** What the service said of descriptor `index` of `asking`. */
  status(index: i32): RateLimitStatus {
    return this.answer.status(this.first + index);
  }

  /** Tells of requests that are over, if nobody asked for anything meanwhile, and again of those that are due. */
  onTick(host: StageHost, now: i64): void {
    let kept = 0;
    const failed = this.failed;
    for (let i = 0; i < failed.length; i++) {
      const claim = unchecked(failed[i]);
      if (claim.retryAt <= now && this.finished.length < MOST_WAITING) this.finished.push(claim);
      else unchecked((failed[kept++] = claim));
    }
    failed.length = kept;
    while (this.finished.length > 0 && !this.isLeftAlone(now)) {
      const record = this.newCall();
      call.begin(this.service.domain.ptr, this.service.domain.len);
      this.writeFinished(record, MAX_STATUSES);
      if (this.start(host, record)) continue;
      this.countFailure(Call.Settle, now);
      this.callFailed(record, now);
    }
  }

  private readAnswer(asking: ServiceClaim | null, message: Bytes | null, first: i32): void {
    const answer = this.answer;
    this.overLimit = false;
    this.understood = message !== null && answer.read(message.ptr, message.len);
    if (asking === null || !this.understood) return;
    this.understood = answer.count == first + asking.count;
    for (let i = 0; this.understood && i < asking.count; i++) {
      const status = answer.status(first + i);
      // A service that has no limit for it would let everything pass.
      this.understood = status.hasLimit;
      if (status.code != RateLimitCode.Ok) this.overLimit = true;
    }
  }

  private newCall(): ServiceCall {
    return this.spareCalls.length > 0 ? this.spareCalls.pop() : new ServiceCall();
  }

  private endCall(record: ServiceCall): void {
    record.asking = null;
    record.settling.length = 0;
    if (this.spareCalls.length < MOST_SPARE) this.spareCalls.push(record);
  }

  private callFailed(record: ServiceCall, now: i64): void {
    for (let i = 0; i < record.settling.length; i++) this.settleFailed(unchecked(record.settling[i]), now);
    this.endCall(record);
  }

  private settleFailed(claim: ServiceClaim, now: i64): void {
    // Only what has a name can be told again without being counted twice.
    if (!this.service.ledger || claim.tries == TRIES || this.failed.length == MOST_WAITING) {
      this.metrics.settlesLost++;
      this.end(claim);
      return;
    }
    claim.retryAt = now + (FIRST_PAUSE << claim.tries++);
    this.failed.push(claim);
  }

  private countFailure(kind: Call, now: i64): void {
    this.metrics.call(kind, CallOutcome.Failed);
    if (++this.failures < FAILURES) return;
    this.pausedUntil = now + PAUSE;
    this.metrics.up = false;
  }

  /** When the pause is over one call finds out whether the service is back. Until that is answered the others go on without. */
  private isLeftAlone(now: i64): bool {
    if (now < this.pausedUntil) return true;
    if (this.failures >= FAILURES) this.pausedUntil = now + PAUSE;
    return false;
  }

  private start(host: StageHost, record: ServiceCall): bool {
    if (!call.end()) return false;
    message.set(call.ptr, call.length);
    const id = host.startCall(this.service.cluster, SERVICE, METHOD, message, this.service.timeoutMs);
    if (id != 0) this.calls.set(id, record);
    return id != 0;
  }

  /** Writes what requests have used that are over, as far as `room` descriptors go, and takes them into the call. Returns how many descriptors. */
  private writeFinished(record: ServiceCall, room: i32): i32 {
    const finished = this.finished;
    let written = 0;
    while (finished.length > 0) {
      const claim = unchecked(finished[finished.length - 1]);
      const count = this.descriptors(claim);
      if (written + count > room) break;
      finished.pop();
      this.writeSettle(claim);
      record.settling.push(claim);
      written += count;
    }
    return written;
  }

  /** How many descriptors it takes to tell what was used. */
  private descriptors(claim: ServiceClaim): i32 {
    let count = 0;
    for (let i = 0; i < claim.count; i++) if (this.differs(claim, i)) count++;
    return count;
  }

  private differs(claim: ServiceClaim, index: i32): bool {
    const used = unchecked(claim.used[index]);
    const asked = unchecked(claim.asked[index]);
    return used != asked && (this.service.ledger || used > asked || this.service.refunds);
  }

  private writeSettle(claim: ServiceClaim): void {
    for (let i = 0; i < claim.count; i++) {
      if (!this.differs(claim, i)) continue;
      const used = unchecked(claim.used[i]);
      const asked = unchecked(claim.asked[i]);
      this.writeBudget(claim, i);
      if (!this.service.ledger) {
        call.hits(used > asked ? used - asked : asked - used, used < asked);
        continue;
      }
      entry(SETTLE, text.reset().decimal(claim.askedAt).view());
      entry(RESERVED, text.reset().decimal(asked).view());
      entry(ID, text.reset().bytes(this.name).decimal(claim.number).byte(0x2e).decimal(i).view());
      entry(MODEL, claim.model.view());
      call.hits(used, false);
    }
  }

  /** Which budget descriptor `index` is about. */
  private writeBudget(claim: ServiceClaim, index: i32): void {
    const place = unchecked(claim.rule[index]);
    const rule = unchecked(this.rules[unchecked(claim.rules[place])]);
    const limit = unchecked(rule.limits[unchecked(claim.limit[index])]);
    call.descriptor();
    entry(RULE, rule.name);
    entry(LIMIT, limit.label);
    let at = claim.keys.view().ptr + <usize>unchecked(claim.keyAt[place]);
    for (let i = 0; i < rule.key.length; i++) {
      const label = unchecked(rule.key[i]).label;
      const length = <i32>load<u16>(at);
      call.entry(label.ptr, label.len, at + 2, length);
      at += <usize>(2 + length);
    }
    if (this.service.overrides) call.limit(unchecked(claim.amount[index]), <RateLimitUnit>(<i32>limit.period + 1));
  }
}

function kindOf(claim: ServiceClaim): Call {
  return claim.state == ServiceClaimState.Ahead ? Call.Lease : Call.Reserve;
}

/** Bytes of a model's name that the ledger counts by. */
const MOST_MODEL: i32 = 256;

function entry(key: Bytes, value: Bytes): void {
  call.entry(key.ptr, key.len, value.ptr, value.len);
}
