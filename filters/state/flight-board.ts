/**
 * Single flight: of the requests with the same key, in all workers of this Envoy, one makes the upstream call, the leader; the others wait for what it brings.
 *
 *   join -> Leader ----------------------- finish ---> Stored:  all who wait look into the cache
 *        -> Local, Remote ... onNews <-----'      '--> Failed:  one who waits is the leader now, of this worker if there is one; the others wait on
 *                                                 '--> Private: all who wait go on their own
 *
 * A leader whose answer comes in pieces may have it read along (`open`), where there are followers who want that (`order`): these wait no more, and who comes later does not wait at all. What is read
 * along, and how, is the caller's.
 *
 * Within a worker, waiting costs no hostcall. Across workers, the flights that run stand in shared data (flight-sets.ts), which decides who leads, and news come by shared queues (flight-mail.ts). Each
 * worker looks into shared data again once a second for each flight of others that it waits for: so a letter may be lost, and a leader whose VM has trapped is replaced once its worker's number is
 * free. Nobody waits longer than it said it would.
 *
 * Two lead at once only where there is no other way: the host refuses, all races for a set are lost, a set is full, or a worker was stuck for so long that it counts as gone. `unshared` and `lost`
 * count these flights; a worker's own requests share them all the same.
 *
 * Rejected: a lock in shared data, which followers would have to ask for in turn; and flights that only their worker knows, which cost a call for each worker.
 */
import { FlightClaims, Standing } from "./flight-claims";
import { Letter } from "./flight-mail";
import { FlightNews, FlightOutcome, FlightRole, FlightSink } from "./flight-roles";
import { Flight, FlightKind, FlightTable, Place, Waiter } from "./flight-table";

export { FlightNews, FlightOutcome, FlightRole, FlightSink } from "./flight-roles";

/** Leaders of a flight that may fail. */
const MOST_FAILURES: i32 = 4;
/** Milliseconds between looks at a flight of another worker: every second tick of an idle VM. */
const POLL: i64 = 850;
/** Milliseconds that the clock may be set back; beyond, nobody can tell how long one has waited. */
const SETBACK: i64 = 5000;
/** Letters taken at once; the rest waits for the next one, or the tick. */
const MOST_LETTERS: i32 = 1024;

@final
export class FlightBoard {
  /** Of the last `join` that answered Leader, Local or Remote. Never 0. */
  ticket: u32 = 0;
  /** Where the leader's answer can be read along: of `FlightRole.Live`, and of `FlightNews.Live` while the sink is told. */
  liveLow: u64 = 0;
  liveHigh: u64 = 0;
  /** ms since 1970: `expire` has nothing to do before. */
  nextDeadline: i64 = i64.MAX_VALUE;

  // Since the start: requests by role, those that took over among the leaders; who waited too long; flights that only this worker knew of.
  leaders: u64 = 0;
  locals: u64 = 0;
  /** Of these, and of those who waited, who read along. */
  live: u64 = 0;
  remotes: u64 = 0;
  alone: u64 = 0;
  timeouts: u64 = 0;
  unshared: u64 = 0;
  /** Followers of this worker that took over from its own leaders. */
  private promoted: u64 = 0;

  private readonly claims: FlightClaims;
  private readonly table: FlightTable = new FlightTable();
  /** Only its list is used: of those who are to be told. */
  private readonly told: Flight = changetype<Flight>(heap.alloc(offsetof<Flight>()));
  private telling: bool = false;
  private expiredAt: i64 = i64.MIN_VALUE / 2;

  /** `scope`: hash of what the workers have in common, such as the name of the plugin. Asks nothing of the host. */
  constructor(
    scope: u64,
    private readonly sink: FlightSink,
  ) {
    this.claims = new FlightClaims(scope);
    memory.fill(changetype<usize>(this.told), 0, offsetof<Flight>());
  }

  /** Requests that wait. */
  get waiting(): i32 {
    return this.table.waiting;
  }

  /** Flights that this worker leads. */
  get running(): i32 {
    return this.table.leading;
  }

  /** Followers that took over from a leader that failed or left. */
  get handovers(): u64 {
    return this.promoted + this.claims.handovers;
  }

  /** Flights taken over from a worker that was gone. */
  get takeovers(): u64 {
    return this.claims.takeovers;
  }

  /** Flights that others took from this worker because it was stuck. */
  get lost(): u64 {
    return this.claims.lost;
  }

  /** Letters to others that the host refused. */
  get unsent(): u64 {
    return this.claims.mail.unsent;
  }

  /**
   * A request for the key, which is not in the cache. `id`: the caller's, handed back in `onNews`. `until`: when it stops waiting; both times in ms since 1970. `again`: the caller has looked into the
   * cache because it was told to.
   *
   * No hostcall when this worker has to do with the flight already, else a get and mostly a set; a few more for the first in a while.
   */
  join(low: u64, high: u64, id: u32, until: i64, now: i64, again: bool = false): FlightRole {
    this.ticket = 0;
    const role = until > now ? this.enter(low, high, id, until, now, again) : FlightRole.Alone;
    if (role == FlightRole.Leader) this.leaders++;
    else if (role == FlightRole.Local) this.locals++;
    else if (role == FlightRole.Remote) this.remotes++;
    else if (role == FlightRole.Alone) this.alone++;
    if (role == FlightRole.Local || role == FlightRole.Remote) this.nextDeadline = min(this.nextDeadline, until);
    const ticket = this.ticket;
    const liveLow = this.liveLow;
    const liveHigh = this.liveHigh;
    this.tell();
    this.ticket = ticket;
    this.liveLow = liveLow;
    this.liveHigh = liveHigh;
    return role;
  }

  /** A request that waits would rather read along: its leader is told. A letter for the first one of a worker that does not lead. */
  order(ticket: u32): void {
    const waiter = this.table.of(ticket);
    const flight = waiter !== null ? waiter.flight : null;
    if (flight === null) return;
    const leader = flight.leader;
    if (leader !== null) this.sink.onWanted(leader.ticket);
    else if (flight.kind == FlightKind.Following && !flight.ordered) this.claims.order(flight);
    flight.ordered = true;
  }

  /** Somebody has asked to read along the answer of this leader. */
  isWanted(ticket: u32): bool {
    const flight = this.ledBy(ticket);
    return flight !== null && ((flight.ordered && flight.first !== null) || flight.wanted != 0);
  }

  /** The answer of this leader can be read along, at a place that is not 0 and 0: who waits is told. A letter for each worker that asked. */
  open(ticket: u32, low: u64, high: u64): void {
    const flight = this.ledBy(ticket);
    if (flight === null) return;
    flight.liveLow = low;
    flight.liveHigh = high;
    if (flight.ordered) this.informAll(flight, FlightNews.Live);
    this.claims.show(flight, flight.wanted);
    flight.wanted = 0;
    this.tell();
  }

  /** It can no more, and its call goes on: who comes waits for its end. */
  shut(ticket: u32): void {
    const flight = this.ledBy(ticket);
    if (flight === null) return;
    flight.liveLow = 0;
    flight.liveHigh = 0;
  }

  /** The leader's call is over. A get and a set, and a hostcall for each worker that is told; none when a follower of this worker takes over. Nothing for other tickets. */
  finish(ticket: u32, outcome: FlightOutcome, now: i64): void {
    const waiter = this.table.of(ticket);
    const flight = waiter !== null ? waiter.flight : null;
    if (waiter === null || flight === null || flight.leader !== waiter) return;
    this.table.close(waiter);
    flight.leader = null;
    flight.liveLow = 0;
    flight.liveHigh = 0;
    this.conclude(flight, outcome, now);
    this.tell();
  }

  /** The request is gone, or goes on without the flight. No hostcall for one that waits; a leader abandons its flight. For the end of every request with a ticket. */
  leave(ticket: u32, now: i64): void {
    const waiter = this.table.of(ticket);
    if (waiter === null) return;
    const flight = waiter.flight;
    if (flight !== null && flight.leader === waiter) {
      this.finish(ticket, FlightOutcome.Abandoned, now);
      return;
    }
    this.table.close(waiter);
    if (flight !== null) this.dropUnwanted(flight);
  }

  /** Tells those whose time is over. No hostcall, and nothing at all before `nextDeadline`; then O(flights and who waits). */
  expire(now: i64): void {
    if (now < this.nextDeadline && now >= this.expiredAt - SETBACK) return;
    let deadline: i64 = i64.MAX_VALUE;
    for (let flight = this.table.first, next: Flight | null = null; flight !== null; flight = next) {
      next = flight.next;
      for (let waiter = flight.first, behind: Waiter | null = null; waiter !== null; waiter = behind) {
        behind = waiter.next;
        if (now >= waiter.until || now < waiter.since - SETBACK) {
          this.timeouts++;
          this.inform(waiter, FlightNews.Alone);
        } else deadline = min(deadline, waiter.until);
      }
      this.dropUnwanted(flight);
    }
    this.nextDeadline = deadline;
    this.tell();
  }

  /** For every tick. A get, and a set about once a second; a get for each flight of others that is waited for, about once a second. Nothing before the first `join`. */
  tick(now: i64): void {
    if (this.table.flights > 0) this.claims.traffic(now);
    this.expire(now);
    this.expiredAt = now;
    if (this.claims.confirm(now) || this.table.following > 0) this.receive(now);
    for (let flight = this.table.first, next: Flight | null = null; flight !== null; flight = next) {
      next = flight.next;
      if (flight.kind == FlightKind.Leading) this.claims.renew(flight, now);
      else if (flight.kind == FlightKind.Ending) this.end(flight, now);
      else if (now - flight.at >= POLL || now < flight.at) this.settle(flight, now);
    }
    this.tell();
  }

  /** For `RootContext.onQueueReady`: true when the queue is this one's. A hostcall for each letter, and one more. */
  onQueueReady(queue: u32, now: i64): bool {
    if (queue == 0 || queue != this.claims.mail.queue) return false;
    this.receive(now);
    this.tell();
    return true;
  }

  /** For the end of the configuration: who waits goes alone, flights are given up, number and memory given back. Nothing may be called behind it, and not from `onNews`. */
  release(now: i64): void {
    for (let flight = this.table.first, next: Flight | null = null; flight !== null; flight = next) {
      next = flight.next;
      this.informAll(flight, FlightNews.Alone);
      const leader = flight.leader;
      if (leader !== null) {
        this.table.close(leader);
        flight.leader = null;
        this.conclude(flight, FlightOutcome.Abandoned, now);
      }
    }
    this.claims.leave();
    this.tell();
    this.table.release();
    heap.free(changetype<usize>(this.told));
  }

  private enter(low: u64, high: u64, id: u32, until: i64, now: i64, again: bool): FlightRole {
    this.claims.traffic(now);
    this.confirm(now);
    let flight = this.table.find(low, high);
    if (flight !== null && isLive(flight)) {
      this.live++;
      this.liveLow = flight.liveLow;
      this.liveHigh = flight.liveHigh;
      return FlightRole.Live;
    }
    if (flight !== null && flight.kind == FlightKind.Ending && flight.outcome == FlightOutcome.Stored && !again) return FlightRole.Look;
    const waiter = this.table.open(id, now, until);
    if (waiter === null) return FlightRole.Alone;
    let role = FlightRole.Leader;
    if (flight === null) {
      flight = this.table.add(low, high, FlightKind.Leading);
      role = flight !== null ? this.roleIn(flight, now, again) : FlightRole.Alone;
      if (role == FlightRole.Look && flight !== null) this.table.drop(flight);
    } else if (flight.kind == FlightKind.Leading) role = FlightRole.Local;
    else if (flight.kind == FlightKind.Following) role = FlightRole.Remote;
    else {
      // It is over, and the others could not be told: they wait for this one now.
      this.table.become(flight, FlightKind.Leading);
      flight.failures = 0;
      flight.ordered = false;
      flight.wanted = 0;
    }
    if (flight === null || role == FlightRole.Look) {
      this.table.close(waiter);
      return role;
    }
    waiter.flight = flight;
    if (role == FlightRole.Leader) flight.leader = waiter;
    else this.table.append(flight, waiter, Place.Waiting);
    this.ticket = waiter.ticket;
    return role;
  }

  /** Before anything is claimed: ticks may be late. */
  private confirm(now: i64): void {
    if (this.claims.isDoubtful(now) && this.claims.confirm(now)) this.receive(now);
  }

  /** Of the first of this worker. */
  private roleIn(flight: Flight, now: i64, again: bool): FlightRole {
    const standing = this.claims.claim(flight, now, true, again);
    if (standing == Standing.Over) return FlightRole.Look;
    if (standing == Standing.Others) {
      this.table.become(flight, FlightKind.Following);
      return FlightRole.Remote;
    }
    if (standing == Standing.Unknown) this.unshared++;
    return FlightRole.Leader;
  }

  /** The flight has lost its leader. */
  private conclude(flight: Flight, outcome: FlightOutcome, now: i64): void {
    if (outcome == FlightOutcome.Failed && ++flight.failures >= MOST_FAILURES) outcome = FlightOutcome.Private;
    if (flight.first !== null && (outcome == FlightOutcome.Failed || outcome == FlightOutcome.Abandoned)) {
      this.confirm(now);
      this.claims.renew(flight, now);
      // What only this worker knew of may be led elsewhere meanwhile.
      if (!flight.shared && this.claims.claim(flight, now, true, true) == Standing.Others) {
        this.table.become(flight, FlightKind.Following);
        return;
      }
      this.promoted++;
      this.promote(flight);
      return;
    }
    this.informAll(flight, outcome == FlightOutcome.Stored ? FlightNews.Look : FlightNews.Alone);
    this.table.become(flight, FlightKind.Ending);
    flight.outcome = outcome;
    this.end(flight, now);
  }

  private end(flight: Flight, now: i64): void {
    if (this.claims.end(flight, now)) this.table.drop(flight);
  }

  /** Asks what became of a flight that another worker led. */
  private settle(flight: Flight, now: i64): void {
    const standing = this.claims.claim(flight, now, false, true);
    if (standing == Standing.Mine) {
      this.table.become(flight, FlightKind.Leading);
      this.promote(flight);
    } else if (standing == Standing.Over) this.over(flight, FlightNews.Look);
    // The leader may have changed, or the letter been lost.
    else if (standing == Standing.Others && flight.ordered) this.claims.order(flight);
  }

  private over(flight: Flight, news: FlightNews): void {
    this.informAll(flight, news);
    this.table.drop(flight);
  }

  private receive(now: i64): void {
    const mail = this.claims.mail;
    for (let letters = 0; letters < MOST_LETTERS && mail.take(); letters++) {
      const kind = mail.kind;
      const low = mail.low;
      const high = mail.high;
      const flight = this.table.find(low, high);
      const follows = flight !== null && flight.kind == FlightKind.Following;
      const open = kind == <i32>FlightOutcome.Failed || kind == <i32>FlightOutcome.Abandoned;
      if (kind == Letter.Wanted) this.want(flight, <u64>1 << mail.number);
      else if (kind == Letter.Live) this.follow(flight, mail.liveLow, mail.liveHigh);
      else if (flight === null || !follows) {
        if (open) this.claims.pass(low, high, now);
      } else if (open) this.settle(flight, now);
      else if (kind == <i32>FlightOutcome.Stored) this.over(flight, FlightNews.Look);
      else if (kind == <i32>FlightOutcome.Private) this.over(flight, FlightNews.Alone);
    }
  }

  /** Followers of another worker want to read along. */
  private want(flight: Flight | null, worker: u64): void {
    const leader = flight !== null ? flight.leader : null;
    if (flight === null || leader === null) return;
    if (isLive(flight)) {
      this.claims.show(flight, worker);
      return;
    }
    flight.wanted |= worker;
    this.sink.onWanted(leader.ticket);
  }

  /** The answer of another worker's leader can be read along. */
  private follow(flight: Flight | null, low: u64, high: u64): void {
    if (flight === null || flight.kind != FlightKind.Following || (low | high) == 0) return;
    flight.liveLow = low;
    flight.liveHigh = high;
    this.over(flight, FlightNews.Live);
  }

  /** The flight that this request leads; null when it does not. */
  private ledBy(ticket: u32): Flight | null {
    const waiter = this.table.of(ticket);
    const flight = waiter !== null ? waiter.flight : null;
    return flight !== null && flight.leader === waiter ? flight : null;
  }

  /** Who waits longest leads. */
  private promote(flight: Flight): void {
    const waiter = flight.first;
    if (waiter === null) return;
    this.leaders++;
    this.inform(waiter, FlightNews.Lead);
    flight.leader = waiter;
  }

  /** Nobody waits here for what another worker does. That it may be told all the same does no harm. */
  private dropUnwanted(flight: Flight): void {
    if (flight.kind == FlightKind.Following && flight.first === null) this.table.drop(flight);
  }

  private informAll(flight: Flight, news: FlightNews): void {
    for (let waiter = flight.first; waiter !== null; waiter = flight.first) this.inform(waiter, news);
  }

  /** Puts one who waits among those who are to be told. */
  private inform(waiter: Waiter, news: FlightNews): void {
    this.table.detach(waiter);
    const flight = waiter.flight;
    if (news == FlightNews.Live && flight !== null) {
      this.live++;
      waiter.liveLow = flight.liveLow;
      waiter.liveHigh = flight.liveHigh;
    }
    if (news != FlightNews.Lead) waiter.flight = null;
    waiter.news = <i32>news;
    this.table.append(this.told, waiter, Place.Told);
  }

  /** All is decided before anybody is told: the sink may use the board, and tells nobody itself then. */
  private tell(): void {
    if (this.telling) return;
    this.telling = true;
    for (let waiter = this.told.first; waiter !== null; waiter = this.told.first) {
      const id = waiter.id;
      const ticket = waiter.ticket;
      const news = <FlightNews>waiter.news;
      this.table.detach(waiter);
      this.liveLow = waiter.liveLow;
      this.liveHigh = waiter.liveHigh;
      if (news == FlightNews.Lead) waiter.place = Place.Leading;
      else this.table.close(waiter);
      this.sink.onNews(id, ticket, news);
    }
    this.telling = false;
  }
}

/** Its leader is of this worker, and its answer can be read along. */
function isLive(flight: Flight): bool {
  return flight.kind == FlightKind.Leading && (flight.liveLow | flight.liveHigh) != 0;
}
