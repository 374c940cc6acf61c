/** Which worker leads a flight: what one worker reads and writes of the flights of all (flight-sets.ts), under its number (worker-slots.ts), and the letters that go with it (flight-mail.ts). */
import { Status } from "../sdk";
import { FlightMail, Letter } from "./flight-mail";
import { FlightOutcome } from "./flight-roles";
import { apart, FlightEntry, FlightSets, FlightState, isStale, isThere, RECENT } from "./flight-sets";
import { Flight } from "./flight-table";
import { WorkerSlots } from "./worker-slots";

/** What shared data says about a flight. */
export const enum Standing {
  /** Nothing: the host refuses, all races were lost, or there is no room. */
  Unknown = 0,
  Mine = 1,
  Others = 2,
  Over = 3,
}

/** Lost races before it is done without the others, or left to the next tick. Each is lost to a write that succeeded. */
const TRIES: i32 = 8;
/** Milliseconds without a confirmation after which others may have taken this worker for gone. */
const STUCK: i64 = 2000;
/** Milliseconds after which the number of this worker is confirmed before it is written anywhere, and between tries to get one. */
const BEAT: i64 = 1000;
const RETRY: i64 = 100;
const NEVER: i64 = i64.MIN_VALUE / 2;

@final
export class FlightClaims {
  readonly mail: FlightMail;
  /** Flights taken over from a leader that failed or left, and from one whose worker was gone. */
  handovers: u64 = 0;
  takeovers: u64 = 0;
  /** Flights that were taken from this worker because it was stuck. */
  lost: u64 = 0;

  private readonly slots: WorkerSlots;
  private readonly sets: FlightSets;
  /** Under which the queue is open, and claims are made. */
  private generation: u64 = 0;
  /** Claims of earlier ones may be void. */
  private epoch: u32 = 0;
  /** There was a flight; before, no number is needed. */
  private wanted: bool = false;
  private confirmedAt: i64 = NEVER;
  private triedAt: i64 = NEVER;

  constructor(scope: u64) {
    this.slots = new WorkerSlots(scope);
    this.sets = new FlightSets(scope);
    this.mail = new FlightMail(scope);
  }

  traffic(now: i64): void {
    this.wanted = true;
    this.slots.traffic(now);
  }

  /** Takes or confirms the number, for every tick. True when it is a new one: then the queue may have letters for it. */
  confirm(now: i64): bool {
    const slots = this.slots;
    if (!this.wanted) return false;
    this.triedAt = now;
    if (!slots.tick(now)) return false;
    const stuck = apart(now, this.confirmedAt) > STUCK;
    this.confirmedAt = now;
    if (stuck) this.epoch++;
    if (slots.generation == this.generation) return false;
    this.generation = slots.generation;
    if (!stuck) this.epoch++;
    this.mail.open(slots.index);
    return true;
  }

  /** The number has to be confirmed before the next claim: there is none, or ticks were late. */
  isDoubtful(now: i64): bool {
    return (this.slots.index < 0 || apart(now, this.confirmedAt) > BEAT) && apart(now, this.triedAt) >= RETRY;
  }

  /** Gives the number back; what stands under it is for others to have. */
  leave(): void {
    this.slots.leave();
  }

  /**
   * Finds out who leads the flight, makes it this worker's when nobody does, and else says that this worker waits. `fresh`: it is nobody's also when it is not there, which otherwise means that it is
   * over. `again`: and when it has ended just now. A get, and a set unless it is known that this worker waits.
   */
  claim(flight: Flight, now: i64, fresh: bool, again: bool): Standing {
    const sets = this.sets;
    flight.at = now;
    flight.shared = false;
    if (this.slots.index < 0) return Standing.Unknown;
    const bit = <u64>1 << this.slots.index;
    for (let round = 0; round < TRIES; round++) {
      if (!sets.load(flight.low)) return Standing.Unknown;
      let entry = sets.find(flight.low, flight.high);
      if (entry === null) {
        if (!fresh) return Standing.Over;
        entry = this.roomFor(flight, now);
        if (entry === null) return Standing.Unknown;
      }
      const was = entry.state;
      if (was == FlightState.Ended) {
        if (!fresh || (!again && apart(now, entry.at) <= RECENT)) return Standing.Over;
        entry.failures = 0;
      }
      const led = was == FlightState.Running && this.isLed(entry, now);
      if (led) {
        flight.leadBy = <i32>entry.slot;
        if ((entry.waiting & bit) != 0) return Standing.Others;
        entry.waiting |= bit;
      } else {
        // Nobody waits for it any more, here or elsewhere: this is another one, which answers for no failure.
        if (fresh && this.reachable(entry.waiting, now) == 0) entry.failures = 0;
        else if (was == FlightState.Running) entry.failures = <u8>min<i32>(entry.failures + 1, 255);
        this.occupy(entry, now);
      }
      const failures = <i32>entry.failures;
      const status = sets.save(now);
      if (status == Status.CasMismatch) continue;
      if (status != Status.Ok) return Standing.Unknown;
      if (led) return Standing.Others;
      if (was == FlightState.Running) this.takeovers++;
      else if (was == FlightState.Open) this.handovers++;
      flight.failures = max(flight.failures, failures);
      this.own(flight);
      return Standing.Mine;
    }
    return Standing.Unknown;
  }

  /** When others may have taken this worker for gone since the claim: claims again, unless one of them has the flight now. For every tick. */
  renew(flight: Flight, now: i64): void {
    if (!flight.shared || flight.epoch == this.epoch || this.slots.index < 0) return;
    for (let round = 0; round < TRIES; round++) {
      const entry = this.ownEntry(flight);
      if (entry === null) {
        if (!flight.shared) this.lost++;
        return;
      }
      this.occupy(entry, now);
      const status = this.sets.save(now);
      if (status == Status.CasMismatch) continue;
      if (status == Status.Ok) this.own(flight);
      return;
    }
  }

  /** A claimed flight is over as its `outcome` says: tells the workers that wait for it, or one of them when it is to take over. False when that has to be tried again. A get, a set, and the letters. */
  end(flight: Flight, now: i64): bool {
    for (let round = 0; flight.shared && round < TRIES; round++) {
      const entry = this.ownEntry(flight);
      if (entry === null) break;
      const waiting = this.reachable(entry.waiting, now);
      const outcome = flight.outcome;
      const open = waiting != 0 && (outcome == FlightOutcome.Failed || outcome == FlightOutcome.Abandoned);
      entry.state = <u8>(open ? FlightState.Open : outcome == FlightOutcome.Stored ? FlightState.Ended : FlightState.None);
      entry.at = now;
      entry.waiting = open ? waiting : 0;
      entry.failures = <u8>min<i32>(flight.failures, 255);
      const status = this.sets.save(now);
      if (status == Status.CasMismatch) continue;
      if (status != Status.Ok) break;
      flight.shared = false;
      this.write(flight.low, flight.high, outcome, waiting);
    }
    return !flight.shared;
  }

  /** Nobody waits here for an open flight that this worker was told to take over: the next one is told. */
  pass(low: u64, high: u64, now: i64): void {
    for (let round = 0; round < TRIES; round++) {
      if (!this.sets.load(low)) return;
      const entry = this.sets.find(low, high);
      if (entry === null || entry.state != FlightState.Open) return;
      const waiting = this.reachable(entry.waiting, now);
      entry.waiting = waiting;
      if (waiting == 0) entry.state = <u8>FlightState.None;
      const status = this.sets.save(now);
      if (status == Status.CasMismatch) continue;
      if (status == Status.Ok) this.write(low, high, FlightOutcome.Abandoned, waiting);
      return;
    }
  }

  /** Asks who leads the flight, as `claim` has found, to have its answer read along. A letter. */
  order(flight: Flight): void {
    const own = this.slots.index;
    if (own >= 0 && flight.leadBy != own) this.mail.send(flight.leadBy, Letter.Wanted, flight.low, flight.high, own);
  }

  /** Tells workers where the answer of the flight can be read along. A letter to each. */
  show(flight: Flight, workers: u64): void {
    for (let rest = workers; rest != 0; rest &= rest - 1) {
      this.mail.send(<i32>ctz(rest), Letter.Live, flight.low, flight.high, 0, flight.liveLow, flight.liveHigh);
    }
  }

  private write(low: u64, high: u64, outcome: FlightOutcome, waiting: u64): void {
    const one = outcome == FlightOutcome.Failed || outcome == FlightOutcome.Abandoned;
    for (let rest = waiting; rest != 0; rest &= rest - 1) {
      this.mail.send(<i32>ctz(rest), <i32>outcome, low, high);
      if (one) return;
    }
  }

  /** The entry that this worker has written for the flight; null when the host refuses, or when it is not there, and the flight is not shared any more. */
  private ownEntry(flight: Flight): FlightEntry | null {
    if (!this.sets.load(flight.low)) return null;
    const entry = this.sets.find(flight.low, flight.high);
    if (entry !== null && entry.state == FlightState.Running && entry.generation == flight.generation) return entry;
    flight.shared = false;
    return null;
  }

  private own(flight: Flight): void {
    flight.generation = this.generation;
    flight.epoch = this.epoch;
    flight.shared = true;
  }

  private occupy(entry: FlightEntry, now: i64): void {
    if (entry.state == FlightState.Ended) entry.waiting = 0;
    entry.state = <u8>FlightState.Running;
    entry.slot = <u8>this.slots.index;
    entry.generation = this.generation;
    entry.at = now;
    entry.waiting &= ~(<u64>1 << this.slots.index);
  }

  private roomFor(flight: Flight, now: i64): FlightEntry | null {
    let entry = this.sets.room(now);
    if (entry === null && this.slots.look(now)) entry = this.sets.room(now, this.slots);
    if (entry === null) return null;
    entry.low = flight.low;
    entry.high = flight.high;
    return entry;
  }

  /** Another worker leads it, one that is there. */
  private isLed(entry: FlightEntry, now: i64): bool {
    const slots = this.slots;
    if (entry.generation == this.generation || isStale(entry, now)) return false;
    // It may have come since the last tick.
    return isThere(entry, slots) || (slots.look(now) && isThere(entry, slots));
  }

  /** The others among those who wait that are there. */
  private reachable(waiting: u64, now: i64): u64 {
    const slots = this.slots;
    if (slots.index >= 0) waiting &= ~(<u64>1 << slots.index);
    if ((waiting & ~slots.alive) != 0) slots.look(now);
    return waiting & slots.alive;
  }
}
