/** filters/state/flight-board behind plain exports: the tests call them on any worker of the test host, as Envoy would call a callback. */
import { HttpContext, registerRoot, RootContext, scratch, StreamContext } from "../../../filters/sdk";
import { FlightBoard, FlightNews, FlightOutcome, FlightSink } from "../../../filters/state/flight-board";

export * from "../../../filters/sdk/exports/lifecycle";
export * from "../../../filters/sdk/exports/http";
export { proxy_on_queue_ready } from "../../../filters/sdk/exports/root";

/** What to do from within `onNews`. */
const enum Reaction {
  None = 0,
  /** Who is to look joins the same flight again. */
  Rejoin = 1,
  /** Who is told anything makes this one leave. */
  Leave = 2,
}

/** In place of news: a leader is wanted. */
const WANTED: i64 = 4;
/** Words that the sink was told: board, id, ticket, news, and the role and ticket of a reaction. */
const ROOM: i32 = 1 << 16;
const RECORD: i32 = 6;
const told = heap.alloc(<usize>ROOM << 3);
let words: i32 = 0;
let reaction: Reaction = Reaction.None;
let low_: u64 = 0;
let high_: u64 = 0;
let until_: i64 = 0;
let now_: i64 = 0;
let ticket_: u32 = 0;

class Sink extends FlightSink {
  number: i32 = 0;

  onNews(id: u32, ticket: u32, news: FlightNews): void {
    const board = boards[this.number];
    let role: i32 = -1;
    let joined: u32 = 0;
    if (reaction == Reaction.Rejoin && news == FlightNews.Look) {
      role = board.join(low_, high_, id, until_, now_, true);
      joined = board.ticket;
    } else if (reaction == Reaction.Leave) board.leave(ticket_, now_);
    else if (news == FlightNews.Live) joined = <u32>(board.liveLow ^ board.liveHigh);
    this.note(id, ticket, <i64>news, role, joined);
  }

  onWanted(ticket: u32): void {
    this.note(0, ticket, WANTED, -1, 0);
  }

  private note(id: u32, ticket: u32, news: i64, role: i32, joined: u32): void {
    if (words + RECORD > ROOM) return;
    const at = told + (<usize>words << 3);
    store<i64>(at, this.number);
    store<i64>(at, id, 8);
    store<i64>(at, ticket, 16);
    store<i64>(at, news, 24);
    store<i64>(at, role, 32);
    store<i64>(at, joined, 40);
    words += RECORD;
  }
}

const boards: FlightBoard[] = [];
/** Of VMs that are gone: what comes for them goes nowhere. */
const dead: bool[] = [];
/** Time of the letters that come. */
let clock: i64 = 0;

class Stream extends HttpContext {}

class Root extends RootContext {
  onQueueReady(queue: u32): void {
    for (let i = 0; i < boards.length; i++) if (!dead[i] && boards[i].onQueueReady(queue, clock)) return;
  }

  createStream(): StreamContext {
    return new Stream(this);
  }
}
registerRoot("", () => new Root());

let left: usize = 0;

function enter(): usize {
  scratch.enter();
  return scratch.mark();
}

function leaveAt(mark: usize): void {
  left = scratch.mark() - mark;
  scratch.leave();
}

export function open(scope: u64): i32 {
  const sink = new Sink();
  sink.number = boards.length;
  boards.push(new FlightBoard(scope, sink));
  dead.push(false);
  return sink.number;
}

/** As after a trap. */
export function kill(board: i32): void {
  dead[board] = true;
}

export function setClock(now: i64): void {
  clock = now;
}

export function react(what: i32, low: u64, high: u64, until: i64, now: i64, ticket: u32): void {
  reaction = <Reaction>what;
  low_ = low;
  high_ = high;
  until_ = until;
  now_ = now;
  ticket_ = ticket;
}

export function join(board: i32, low: u64, high: u64, id: u32, until: i64, now: i64, again: bool): i32 {
  const mark = enter();
  const role = boards[board].join(low, high, id, until, now, again);
  leaveAt(mark);
  return role;
}

export function ticketOf(board: i32): u32 {
  return boards[board].ticket;
}

export function finish(board: i32, ticket: u32, outcome: i32, now: i64): void {
  const mark = enter();
  boards[board].finish(ticket, <FlightOutcome>outcome, now);
  leaveAt(mark);
}

export function leave(board: i32, ticket: u32, now: i64): void {
  const mark = enter();
  boards[board].leave(ticket, now);
  leaveAt(mark);
}

export function order(board: i32, ticket: u32): void {
  const mark = enter();
  boards[board].order(ticket);
  leaveAt(mark);
}

export function isWanted(board: i32, ticket: u32): bool {
  return boards[board].isWanted(ticket);
}

export function openLive(board: i32, ticket: u32, low: u64, high: u64): void {
  const mark = enter();
  boards[board].open(ticket, low, high);
  leaveAt(mark);
}

export function shut(board: i32, ticket: u32): void {
  boards[board].shut(ticket);
}

/** Of the last join. */
export function placeOf(board: i32): u32 {
  return <u32>(boards[board].liveLow ^ boards[board].liveHigh);
}

export function expire(board: i32, now: i64): void {
  boards[board].expire(now);
}

export function tick(board: i32, now: i64): void {
  const mark = enter();
  boards[board].tick(now);
  leaveAt(mark);
}

export function release(board: i32, now: i64): void {
  const mark = enter();
  boards[board].release(now);
  leaveAt(mark);
  dead[board] = true;
}

export function scratchLeft(): i32 {
  return <i32>left;
}

export function toldAt(): usize {
  return told;
}

/** Words that sinks were told since the last question. */
export function toldWords(): i32 {
  const count = words;
  words = 0;
  return count;
}

const report_ = memory.data(128, 8);

/** i64: leaders, locals, remotes, alone, timeouts, handovers, takeovers, unshared, lost, unsent, waiting, running, nextDeadline. */
export function report(number: i32): usize {
  const board = boards[number];
  store<i64>(report_, board.leaders);
  store<i64>(report_, board.locals, 8);
  store<i64>(report_, board.remotes, 16);
  store<i64>(report_, board.alone, 24);
  store<i64>(report_, board.timeouts, 32);
  store<i64>(report_, board.handovers, 40);
  store<i64>(report_, board.takeovers, 48);
  store<i64>(report_, board.unshared, 56);
  store<i64>(report_, board.lost, 64);
  store<i64>(report_, board.unsent, 72);
  store<i64>(report_, board.waiting, 80);
  store<i64>(report_, board.running, 88);
  store<i64>(report_, board.nextDeadline, 96);
  return report_;
}
