/** filters/state/{worker-slots,load-board,prefix-gossip,load-snapshot} behind plain exports: the tests call them on any worker of the test host, as Envoy would call a tick. */
import { Bytes, HttpContext, registerRoot, RootContext, scratch, StreamContext } from "../../../filters/sdk";
import { LoadBoard, LoadSink } from "../../../filters/state/load-board";
import { EndpointLoad, LoadSnapshot, SnapshotSink } from "../../../filters/state/load-snapshot";
import { GossipSink, PrefixGossip } from "../../../filters/state/prefix-gossip";
import { WorkerSlots } from "../../../filters/state/worker-slots";

export * from "../../../filters/sdk/exports/lifecycle";
export * from "../../../filters/sdk/exports/http";

class Stream extends HttpContext {}

class Root extends RootContext {
  createStream(): StreamContext {
    return new Stream(this);
  }
}
registerRoot("", () => new Root());

/** What a sink was told: words, the first of each record says which. */
const ROOM: i32 = 1 << 17;
const told = heap.alloc(<usize>ROOM << 3);
let words: i32 = 0;

function tell(word: i64): void {
  if (words == ROOM) return;
  store<i64>(told + (<usize>words << 3), word);
  words++;
}

class Loads extends LoadSink {
  begin(): void {
    tell(1);
  }

  add(pool: i32, endpoint: u64, inflight: u32, pending: u32): void {
    tell(2);
    tell(pool);
    tell(endpoint);
    tell(inflight);
    tell(pending);
  }

  quarantined(pool: i32, endpoint: u64, untilMs: i64, failures: u32): void {
    tell(3);
    tell(pool);
    tell(endpoint);
    tell(untilMs);
    tell(failures);
  }

  end(): void {
    tell(4);
  }
}

class Gossip extends GossipSink {
  learn(pool: i32, endpoint: u64, hashes: usize, count: i32): void {
    tell(5);
    tell(pool);
    tell(endpoint);
    tell(count);
    for (let i = 0; i < count; i++) tell(load<u64>(hashes + (<usize>i << 3)));
  }
}

class Snapshots extends SnapshotSink {
  begin(at: i64): void {
    tell(6);
    tell(at);
  }

  endpoint(load: EndpointLoad): void {
    tell(7);
    tell(load.endpoint);
    tell(load.at);
    tell(load.unknown ? 1 : 0);
    tell(load.waiting);
    tell(load.running);
    tell(load.kvPermille);
    tell(load.blockTokens);
    tell(load.blocks);
    tell(load.maxAdapters);
    tell(load.activeAdapters);
    tell(load.waitingAdapters);
    for (let i = 0; i < load.activeAdapters + load.waitingAdapters; i++) tell(load.adapter(i));
  }

  end(): void {
    tell(8);
  }
}

const loads = new Loads();
const gossips = new Gossip();
const snapshots = new Snapshots();

/** One configuration: a VM has two while one drains. */
class State {
  readonly slots: WorkerSlots;
  readonly board: LoadBoard;
  readonly gossip: PrefixGossip;
  readonly snapshots: LoadSnapshot[] = [];

  constructor(scope: u64) {
    const slots = new WorkerSlots(scope);
    const board = new LoadBoard(slots);
    this.slots = slots;
    this.board = board;
    this.gossip = new PrefixGossip(slots, board);
  }

  release(): void {
    this.board.release();
    this.gossip.release();
    for (let i = 0; i < this.snapshots.length; i++) this.snapshots[i].release();
  }
}

const states: State[] = [];
let on: State = new State(0);
let left: usize = 0;
const input = heap.alloc(1 << 17);
const view = new Bytes();

/** Where tests put hashes and messages: 128 KiB. */
export function inputAt(): usize {
  return input;
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

/** A new configuration; its number. */
export function open(scope: i64): i32 {
  states.push(new State(scope));
  return states.length - 1;
}

/** The configuration that is meant from now on. */
export function use(number: i32): void {
  on = states[number];
}

export function release(): void {
  on.release();
}

export function pool(hash: i64): i32 {
  on.snapshots.push(new LoadSnapshot(hash));
  return on.board.addPool(hash);
}

export function traffic(now: i64): void {
  on.slots.traffic(now);
}

function enter(): usize {
  scratch.enter();
  return scratch.mark();
}

function leaveAt(mark: usize): void {
  left = scratch.mark() - mark;
  scratch.leave();
}

/** Scratch bytes that the last call left in use. */
export function scratchLeft(): i32 {
  return <i32>left;
}

export function tick(now: i64): bool {
  const mark = enter();
  const has = on.slots.tick(now);
  leaveAt(mark);
  return has;
}

export function look(now: i64): bool {
  const mark = enter();
  const readable = on.slots.look(now);
  leaveAt(mark);
  return readable;
}

export function leave(): void {
  const mark = enter();
  on.slots.leave();
  leaveAt(mark);
}

export function index(): i32 {
  return on.slots.index;
}

/** i64: index, generation, others, alive, lost, unavailable, dropped, unreadable, sent, dropped hashes, learned, lost segments, left out, at. */
export function report(): usize {
  const at = memory.data(112, 8);
  store<i64>(at, on.slots.index);
  store<u64>(at, on.slots.generation, 8);
  store<u64>(at, on.slots.others, 16);
  store<u64>(at, on.slots.alive, 24);
  store<u64>(at, on.slots.lost, 32);
  store<u64>(at, on.slots.unavailable, 40);
  store<u64>(at, on.board.dropped, 48);
  store<u64>(at, on.board.unreadable, 56);
  store<u64>(at, on.gossip.sent, 64);
  store<u64>(at, on.gossip.dropped, 72);
  store<u64>(at, on.gossip.learned, 80);
  store<u64>(at, on.gossip.lostSegments, 88);
  store<u64>(at, on.snapshots.length > 0 ? on.snapshots[0].leftOut : 0, 96);
  store<i64>(at, on.snapshots.length > 0 ? on.snapshots[0].at : 0, 104);
  return at;
}

export function begin(): void {
  on.board.begin();
}

export function put(pool: i32, endpoint: i64, inflight: u32, pending: u32): void {
  on.board.put(pool, endpoint, inflight, pending);
}

export function quarantine(pool: i32, endpoint: i64, untilMs: i64, failures: u32): void {
  on.board.quarantine(pool, endpoint, untilMs, failures);
}

export function publish(now: i64): bool {
  const mark = enter();
  const done = on.board.publish(now);
  leaveAt(mark);
  return done;
}

export function read(now: i64): void {
  const mark = enter();
  on.board.read(now, loads);
  leaveAt(mark);
}

export function refresh(now: i64): bool {
  const mark = enter();
  const done = on.board.refresh(now, loads);
  leaveAt(mark);
  return done;
}

export function isElected(pool: i32, now: i64): bool {
  return on.board.isElected(pool, now);
}

/** The hashes are those of the input. */
export function note(pool: i32, endpoint: i64, count: i32): void {
  for (let i = 0; i < count; i++) on.gossip.note(pool, endpoint, load<u64>(input + (<usize>i << 3)));
}

export function flush(now: i64): void {
  const mark = enter();
  on.gossip.flush(now);
  leaveAt(mark);
}

export function gossipEmpty(): bool {
  return on.gossip.isEmpty;
}

export function hear(most: i32): bool {
  const mark = enter();
  const more = on.gossip.read(gossips, most);
  leaveAt(mark);
  return more;
}

/** The message is the input. */
export function encode(pool: i32, length: i32, now: i64): bool {
  const mark = enter();
  view.set(input, length);
  const done = on.snapshots[pool].encode(view, now);
  leaveAt(mark);
  return done;
}

export function readSnapshot(pool: i32, now: i64): bool {
  const mark = enter();
  const done = on.snapshots[pool].read(now, snapshots);
  leaveAt(mark);
  return done;
}

/** All of a tick in the order of the stage, with what is between `begin` and now put before. */
export function moment(now: i64, most: i32): void {
  const mark = enter();
  on.slots.tick(now);
  on.gossip.flush(now);
  on.board.publish(now);
  on.board.read(now, loads);
  on.gossip.read(gossips, most);
  for (let i = 0; i < on.snapshots.length; i++) on.snapshots[i].read(now, snapshots);
  leaveAt(mark);
}
