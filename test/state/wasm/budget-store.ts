/** filters/state/budget-store behind plain exports: the tests call them on any worker of the test host, as Envoy would call a callback. */
import { TimeZone } from "../../../filters/lib/time-zone";
import { TokenWindow, WindowPeriod } from "../../../filters/lib/token-window";
import { HttpContext, registerRoot, RootContext, scratch, StreamContext } from "../../../filters/sdk";
import { Budget, BudgetStore, Claim, MAX_LIMITS } from "../../../filters/state/budget-store";

export * from "../../../filters/sdk/exports/lifecycle";

class Stream extends HttpContext {}

class Root extends RootContext {
  createStream(): StreamContext {
    return new Stream(this);
  }
}
registerRoot("", () => new Root());

const CLAIMS = 256;
const claims = new StaticArray<Claim>(CLAIMS);
for (let i = 0; i < CLAIMS; i++) claims[i] = new Claim();
const amounts = new StaticArray<i64>(MAX_LIMITS);
/** The limits' amounts of the next reserve. */
const own = new StaticArray<i64>(MAX_LIMITS);
const report = memory.data(256, 8);
const budgets: Budget[] = [];
let windows: TokenWindow[] = [];
let store_: BudgetStore = new BudgetStore(8, 8);

export function open(maxKeys: i32, largestBudget: i32): void {
  store_ = new BudgetStore(maxKeys, largestBudget);
}

/** Adds a limit to the budget that is being made. */
export function limit(amount: i64, period: i32, rolling: bool, offsetSeconds: i32, granted: bool, lease: i64): void {
  const window = new TokenWindow(amount, <WindowPeriod>period, rolling, new TimeZone(<i64>offsetSeconds * 1000), granted);
  window.lease = lease;
  windows.push(window);
}

/** The number of the budget with the limits added since the last one. */
export function budget(): i32 {
  budgets.push(new Budget(StaticArray.fromArray(windows)));
  windows = [];
  return budgets.length - 1;
}

export function budgetSize(number: i32): i32 {
  return budgets[number].size;
}

export function amount(index: i32, value: i64): void {
  amounts[index] = value;
}

export function ownAmount(index: i32, value: i64): void {
  own[index] = value;
}

/** Scratch bytes that the last reserve left in use; a request may reserve under many rules in one callback. */
let left: usize = 0;

export function scratchLeft(): i32 {
  return <i32>left;
}

/** Reserves the amounts. */
export function reserve(number: i32, low: i64, high: i64, now: i64, claim: i32): i32 {
  scratch.enter();
  const mark = scratch.mark();
  const verdict = store_.reserve(budgets[number], low, high, amounts, now, claims[claim]);
  left = scratch.mark() - mark;
  scratch.leave();
  return verdict;
}

/** The same with amounts of this call. */
export function reserveOwn(number: i32, low: i64, high: i64, now: i64, claim: i32): i32 {
  scratch.enter();
  const verdict = store_.reserve(budgets[number], low, high, amounts, now, claims[claim], own);
  scratch.leave();
  return verdict;
}

/** Extends by the amounts. */
export function extend(claim: i32, now: i64): i32 {
  scratch.enter();
  const mark = scratch.mark();
  const verdict = store_.extend(claims[claim], amounts, now);
  left = scratch.mark() - mark;
  scratch.leave();
  return verdict;
}

/** Grants the amounts. */
export function grant(claim: i32, now: i64, answers: bool, notBefore: i64): bool {
  scratch.enter();
  const mark = scratch.mark();
  const written = store_.grant(claims[claim], amounts, now, answers, notBefore);
  left = scratch.mark() - mark;
  scratch.leave();
  return written;
}

export function copy(to: i32, from: i32): void {
  claims[to].copy(claims[from]);
}

/** Settles to the amounts. */
export function settle(claim: i32, now: i64): void {
  scratch.enter();
  const mark = scratch.mark();
  store_.settle(claims[claim], amounts, now);
  left = scratch.mark() - mark;
  scratch.leave();
}

export function release(claim: i32, now: i64): void {
  scratch.enter();
  store_.release(claims[claim], now);
  scratch.leave();
}

export function retry(now: i64): void {
  scratch.enter();
  store_.retry(now);
  scratch.leave();
}

/** i64: open, refusedBy, availableAt, then four each of remaining, resetAt, reserved, closed, ask, shortfall. */
export function claimAt(index: i32): usize {
  const claim = claims[index];
  store<i64>(report, claim.open ? 1 : 0);
  store<i64>(report, claim.refusedBy, 8);
  store<i64>(report, claim.availableAt, 16);
  for (let i = 0; i < MAX_LIMITS; i++) {
    const at = report + 24 + ((<usize>i) << 3);
    store<i64>(at, claim.remaining[i]);
    store<i64>(at, claim.resetAt[i], 32);
    store<i64>(at, claim.reserved[i], 64);
    store<i64>(at, claim.closed[i], 96);
    store<i64>(at, claim.ask[i], 128);
    store<i64>(at, claim.shortfall[i], 160);
  }
  return report;
}

/** i64: contention, unavailable, evictedLive, pendingSettles, settlesLost, bytes, grantsLost. */
export function counters(): usize {
  store<i64>(report, store_.contention);
  store<i64>(report, store_.unavailable, 8);
  store<i64>(report, store_.evictedLive, 16);
  store<i64>(report, store_.pendingSettles, 24);
  store<i64>(report, store_.settlesLost, 32);
  store<i64>(report, store_.bytes, 40);
  store<i64>(report, store_.grantsLost, 48);
  return report;
}
