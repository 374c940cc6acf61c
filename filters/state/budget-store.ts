/**
 * Budgets of any number of keys in a bounded part of Envoy's shared data, for all workers together.
 *
 * Shared data has no deletion, so the keys are fixed (set-storage.ts), and a hash says which set a budget is in. A set keeps WAYS budgets whole (budget-set.ts); a budget that finds its set full
 * takes the place of an idle one, else of the one that was not used for longest. That one starts anew, which is the error of this store, and counted. Two budgets are never taken for one: all
 * 128 bits of the hash are compared.
 *
 * Every call reads the set, changes a copy and writes it when nobody wrote meanwhile, else it tries again with what is there now.
 *
 * Hostcalls: get + set for all of reserve, extend, settle and grant. Get alone for what is refused (unless the refused one has to ask for grants) and for grants that come too late. None for a settle
 * when the meters already have what was used.
 *
 * Live budgets that are dropped, per request, when 65,536 are kept (4.3 MB with one or two fixed limits) and no window ends (test/state/eviction.ts, 300,000 requests after 700,000):
 *
 *   keys in use   10,000   32,768   50,000   65,536   100,000   1,000,000
 *   all alike     0        0.06 %   2.2 %    9.9 %    35 %      93 %
 *   zipf, s = 1   0        0.008 %  0.3 %    1.3 %    4.9 %     26 %
 *
 * So `maxKeys` should be twice the keys that are in use within their longest window. Sets of 8 drop 5.7 % where these drop 2.2, sets of 4 drop 11 %.
 */
import { scratch, Status } from "../sdk";
import { Budget, MAX_LIMITS } from "./budget";
import { BudgetSet, entryBytes, isLive, metersOf, serialOf, setSerial, WAYS } from "./budget-set";
import { Claim } from "./claim";
import { SetStorage } from "./set-storage";

export { NEVER } from "../lib/token-window";
export { Budget, MAX_LIMITS } from "./budget";
export { Claim } from "./claim";

/** Lost races before a write is given up. With one get and set at a time per worker, each of them is lost to a write that succeeded. */
const TRIES: i32 = 8;
/** Settles that wait for the next tick, per VM. */
const WAITING: i32 = 64;

export const enum Verdict {
  Admitted,
  Refused,
  /** Admitted, but nothing could be reserved. The claim is open and its settle charges what was used. */
  Unwritten,
}

@final
export class BudgetStore {
  /** Reservations that were admitted without being written: races lost, calls that the host refused. */
  contention: u32 = 0;
  unavailable: u32 = 0;
  /** Live budgets that were dropped for another one. */
  evictedLive: u32 = 0;
  /** Settles that wait for `retry`, and those that were dropped because too many waited. */
  pendingSettles: i32 = 0;
  settlesLost: u32 = 0;
  /** Grants that could not be written: nobody uses them. */
  grantsLost: u32 = 0;
  /** The most bytes of shared data that keys and values take. */
  readonly bytes: i64;

  private readonly largest: i32;
  private readonly set: BudgetSet;
  private readonly storage: SetStorage;
  private readonly waiting: StaticArray<Claim> = new StaticArray<Claim>(WAITING);
  private readonly nothing: StaticArray<i64> = new StaticArray<i64>(MAX_LIMITS);
  /** What becomes of a claim that is extended, and the meters before, while it is not sure. */
  private readonly draft: Claim = new Claim();
  private readonly before: StaticArray<u8>;
  /** The entry that `enter` made took the place of a live one. */
  private drops: bool = false;

  /** `maxKeys`: budgets kept at the same time, rounded up to whole sets. `largestBudget`: most bytes of meters of a rule. No hostcalls. */
  constructor(maxKeys: i32, largestBudget: i32) {
    const stride = entryBytes(largestBudget);
    const set = new BudgetSet(stride);
    const storage = new SetStorage((maxKeys + WAYS - 1) / WAYS, set.bytes, stride);
    this.largest = largestBudget;
    this.set = set;
    this.storage = storage;
    this.bytes = storage.bytes;
    this.before = new StaticArray<u8>(largestBudget);
    for (let i = 0; i < WAITING; i++) this.waiting[i] = new Claim();
  }

  /**
   * Reserves `wants[i]` of limit i, in all limits or in none, and fills the claim. `wants` has an entry for each limit, and so has `amounts`: above 0, the amount of the limit for this call.
   * The amounts are checked and taken in one step against what all workers have reserved. A claim that was still open is forgotten: its reservation stays until it expires. After Refused the
   * claim is not open; when it has to ask for grants, that is written.
   */
  reserve(
    budget: Budget,
    hashLow: u64,
    hashHigh: u64,
    wants: StaticArray<i64>,
    now: i64,
    claim: Claim,
    amounts: StaticArray<i64> | null = null,
  ): Verdict {
    claim.begin(budget, hashLow, hashHigh, now, amounts);
    const mark = scratch.mark();
    const verdict = this.admit(claim, claim, wants, now);
    scratch.rewind(mark);
    claim.open = verdict != Verdict.Refused;
    if (verdict == Verdict.Unwritten) claim.forget();
    return verdict;
  }

  /**
   * Reserves `parts[i]` more for a request that runs on; what it had reserved is taken for used. In all limits or in none; those whose part is not above 0 are left alone. Admitted only if all of
   * the part fits, so one above the whole amount is never. Otherwise the claim is as it was: Refused says when it would fit (`availableAt`, or NEVER), Unwritten charges in the end.
   */
  extend(claim: Claim, parts: StaticArray<i64>, now: i64): Verdict {
    if (!claim.open) return Verdict.Refused;
    claim.forgetRefusal();
    claim.forgetAsking();
    if (!isAny(parts, claim.budget!.count)) return Verdict.Admitted;
    const draft = this.draft;
    const mark = scratch.mark();
    const verdict = this.admit(claim, draft, parts, now);
    scratch.rewind(mark);
    if (verdict == Verdict.Admitted) claim.copy(draft);
    else if (verdict == Verdict.Refused) claim.takeRefusal(draft);
    return verdict;
  }

  /** The reservation becomes `actuals`, what the whole request has used, and the claim is closed; a claim that is not open is left alone. */
  settle(claim: Claim, actuals: StaticArray<i64>, now: i64): void {
    if (!claim.open) return;
    claim.open = false;
    if (!claim.spend(actuals) || this.charge(claim, now)) return;
    if (this.pendingSettles == WAITING) this.settlesLost++;
    else unchecked(this.waiting[this.pendingSettles++]).copy(claim);
  }

  /** Gives the reservation back. */
  release(claim: Claim, now: i64): void {
    this.settle(claim, this.nothing, now);
  }

  /** Tries waiting settles again. For ticks, and before the store is given up. */
  retry(now: i64): void {
    let kept = 0;
    for (let i = 0; i < this.pendingSettles; i++) {
      const claim = unchecked(this.waiting[i]);
      if (this.charge(claim, now)) continue;
      // The objects stay in the list.
      unchecked((this.waiting[i] = this.waiting[kept]));
      unchecked((this.waiting[kept++] = claim));
    }
    this.pendingSettles = kept;
  }

  /**
   * Adds `units[i]`, granted by the service, to limit i, if its window is still the one in which the claim was reserved, extended or refused last. The claim need not be open; a call that outlives
   * the request keeps a copy. `answers`: what the claim had to ask for is answered, with nothing too, and may be asked for again from `notBefore` on, at most a minute ahead. False when the
   * units are lost.
   */
  grant(claim: Claim, units: StaticArray<i64>, now: i64, answers: bool = true, notBefore: i64 = 0): bool {
    const count = claim.budget!.count;
    if (!isAny(units, count) && !(answers && isAny(claim.asking, count))) return true;
    const written = this.add(claim, units, now, answers, notBefore);
    if (answers) claim.forgetAsking();
    if (!written) this.grantsLost++;
    return written;
  }

  /** Reserves for `claim`, or extends it when `draft` is another one, which then has what becomes of it. */
  private admit(claim: Claim, draft: Claim, wants: StaticArray<i64>, now: i64): Verdict {
    const budget = claim.budget!;
    if (budget.size > this.largest) return this.unreadable();
    const before = changetype<usize>(this.before);
    const mark = scratch.mark();
    let refused = false;
    for (let round = 0; round < TRIES; round++) {
      scratch.rewind(mark);
      if (!this.storage.load(claim.hashLow)) return this.unreadable();
      const entry = this.enter(claim, now);
      const meters = metersOf(entry);
      if (budget.granted) memory.copy(before, meters, budget.size);
      if (draft === claim) refused = !claim.reserve(meters, now, wants);
      else {
        draft.copy(claim);
        refused = !draft.extend(meters, now, wants, serialOf(entry) == claim.serial);
      }
      if (refused && budget.granted) memory.copy(meters, before, budget.size);
      const asks = budget.granted && draft.askAhead(meters, now);
      if (refused && !asks) return Verdict.Refused;
      draft.serial = serialOf(entry);
      const status = this.save(entry, budget.granted ? budget.emptyAt(meters, now) : draft.emptyAt(), now);
      if (status == Status.Ok) return refused ? Verdict.Refused : Verdict.Admitted;
      if (status == Status.CasMismatch) continue;
      if (!refused) return this.unreadable();
      break;
    }
    if (!refused) {
      this.contention++;
      return Verdict.Unwritten;
    }
    // Nobody knows that it would ask.
    draft.forgetAsking();
    return Verdict.Refused;
  }

  /** True when the settle is done with: written, or nobody has the budget any more. */
  private charge(claim: Claim, now: i64): bool {
    const budget = claim.budget!;
    if (budget.size > this.largest) return true;
    const mark = scratch.mark();
    let done = false;
    for (let round = 0; round < TRIES && !done; round++) {
      scratch.rewind(mark);
      if (!this.storage.load(claim.hashLow)) break;
      const entry = this.find(claim, now);
      if (entry == 0) {
        done = true;
        break;
      }
      // Another serial: the reservation went with an entry that was dropped, or began anew. What was used counts all the same.
      claim.settle(metersOf(entry), now, serialOf(entry) == claim.serial);
      const status = this.save(entry, budget.emptyAt(metersOf(entry), now), now);
      done = status == Status.Ok;
      if (status != Status.CasMismatch) break;
    }
    scratch.rewind(mark);
    return done;
  }

  /** `grant` in the set of the claim, which gets an entry that is missing. True when it is written, or changes nothing. */
  private add(claim: Claim, units: StaticArray<i64>, now: i64, answers: bool, notBefore: i64): bool {
    const budget = claim.budget!;
    if (budget.size > this.largest) return false;
    const mark = scratch.mark();
    let done = false;
    for (let round = 0; round < TRIES && !done; round++) {
      scratch.rewind(mark);
      if (!this.storage.load(claim.hashLow)) break;
      const entry = this.enter(claim, now);
      if (!claim.grant(metersOf(entry), now, units, answers, notBefore)) {
        done = true;
        break;
      }
      const status = this.save(entry, budget.emptyAt(metersOf(entry), now), now);
      done = status == Status.Ok;
      if (status != Status.CasMismatch) break;
    }
    scratch.rewind(mark);
    return done;
  }

  /** The entry of the claim in the set that is loaded; 0 when there is none. */
  private find(claim: Claim, now: i64): usize {
    this.drops = false;
    const entry = this.set.find(this.storage.value.ptr, claim.hashLow, claim.hashHigh);
    // Meters that begin anew have lost their reservations: no claim may give one back. Versions grow with each write, so the serial is a new one.
    if (entry != 0 && claim.budget!.restarts(metersOf(entry), now)) setSerial(entry, this.storage.version);
    return entry;
  }

  /** The same, made when there is none. */
  private enter(claim: Claim, now: i64): usize {
    const found = this.find(claim, now);
    if (found != 0) return found;
    const entry = this.set.victim(this.storage.value.ptr, seconds(now));
    this.drops = isLive(entry, seconds(now));
    this.set.clear(entry, claim.hashLow, claim.hashHigh, this.storage.version);
    return entry;
  }

  private save(entry: usize, emptyAt: i64, now: i64): Status {
    this.set.touch(this.storage.value.ptr, entry, idleSecond(emptyAt, now));
    const status = this.storage.save();
    if (status == Status.Ok && this.drops) this.evictedLive++;
    return status;
  }

  private unreadable(): Verdict {
    this.unavailable++;
    return Verdict.Unwritten;
  }
}

/** Some of the first is above 0. */
function isAny(units: StaticArray<i64>, count: i32): bool {
  for (let i = 0; i < count; i++) if (unchecked(units[i]) > 0) return true;
  return false;
}

@inline
function seconds(now: i64): u32 {
  return <u32>(min(max(now, 0) / 1000, 0xffffffff));
}

/** The first whole second that all meters are empty in; what is empty now is so in this one. */
@inline
function idleSecond(emptyAt: i64, now: i64): u32 {
  return emptyAt <= now ? seconds(now) : seconds(emptyAt + 999);
}
