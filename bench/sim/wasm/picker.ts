/**
 * The picker that Envoy's filter uses, for the simulator: one instance of this module is one worker, with one pool of prefix affinity.
 *
 * No rule is here, only calls of filters/lib/pick. Hashes come as whole numbers in f64, which is what a program in JavaScript can write fast, and are spread over 64 bits.
 */
import "../../../filters/sdk/abort";
import { Outcome, PickList, PickRequest, Pool, PoolSettings, Ticket } from "../../../filters/lib/pick";
import { scratch } from "../../../filters/sdk/scratch";
import { Neighbours } from "./neighbours";

/** (block, endpoint) pairs that the filter has memory for with one pool of up to 64 endpoints: filters/hash-ring/picker-pool.ts. */
const MAX_PAIRS: i32 = (16 * 1024 * 1024) / 51;
/** As many blocks as the filter hashes of one prompt. */
const ROOM: i32 = 4096;
const hashes: usize = memory.data(32768);

let settings = new PoolSettings();
let pool = new Pool(settings);
let neighbours = new Neighbours(pool);
const request = new PickRequest();
const list = new PickList();
const tickets = new Array<Ticket>();

export function hashesAt(): usize {
  assert(ROOM * 8 == 32768);
  return hashes;
}

/** Where the host puts what a call returns. */
export function allocate(size: usize): usize {
  return scratch.allocate(size);
}

export function room(): i32 {
  return ROOM;
}

/** Constants of the next pool; those that are not a number stay as they are in the filter. */
export function setAffinity(bound: f64, least: f64, threshold: f64, slack: f64, queue: f64, perRequest: f64, missPrice: f64): void {
  if (!isNaN(bound)) settings.bound = bound;
  if (!isNaN(least)) settings.leastInflight = <i32>least;
  if (!isNaN(threshold)) settings.threshold = threshold;
  if (!isNaN(slack)) settings.slackTokens = slack;
  if (!isNaN(queue)) settings.queueTokens = queue;
  if (!isNaN(perRequest)) settings.requestTokens = perRequest;
  if (!isNaN(missPrice)) settings.missPrice = missPrice;
}

export function open(capacity: i32, blocksPerEndpoint: i32): void {
  settings.capacity = capacity;
  settings.blocksPerEndpoint = blocksPerEndpoint;
  settings.maxIndexPairs = MAX_PAIRS;
  pool = new Pool(settings);
  neighbours = new Neighbours(pool);
  __collect();
}

function spread(value: f64): u64 {
  const bits = <u64>value * 0x9e3779b97f4a7c15;
  return (bits ^ (bits >> 32)) * 0xd6e8feb86659fd93;
}

/** The slot of the endpoint, whose address is hashed from its number. */
export function add(endpoint: i32, now: f64): i32 {
  return pool.add(spread(<f64>endpoint + 1), 0, 0, 1, 0, 0, <i64>now);
}

export function build(): void {
  pool.build();
}

export function remove(slot: i32): void {
  pool.remove(slot);
}

/** `blocks` numbers are at `hashesAt()`. The slot, or -1. */
export function pick(blocks: i32, tokens: i32, now: f64, high: u32, low: u32): i32 {
  scratch.enter();
  neighbours.onRequest(<i64>now);
  scratch.leave();
  for (let i = 0; i < blocks; i++) {
    const at = hashes + (<usize>i << 3);
    store<u64>(at, spread(load<f64>(at)));
  }
  request.reset(<i64>now, (<u64>high << 32) | <u64>low);
  request.hasKey = blocks > 0;
  if (blocks > 0) request.key = load<u64>(hashes + (<usize>(min(blocks, 4) - 1) << 3));
  request.chain = hashes;
  request.blocks = blocks;
  request.tokens = tokens;
  return pool.pick(request, list) ? list.slot(0) : -1;
}

/** Right after `pick`. Tokens that count as pending until the first byte. */
export function sent(ticket: i32): i32 {
  while (tickets.length <= ticket) tickets.push(new Ticket());
  pool.sent(request, list, tickets[ticket]);
  scratch.enter();
  neighbours.onSend(request.now);
  scratch.leave();
  return tickets[ticket].pending;
}

export function firstByte(ticket: i32, now: f64): void {
  pool.firstByte(tickets[ticket], <i64>now);
}

export function done(ticket: i32, now: f64): void {
  pool.done(tickets[ticket], <i64>now, Outcome.Success);
}

export function ownInflight(slot: i32): i32 {
  return pool.endpoints.ownInflight(slot);
}

export function ownPending(slot: i32): f64 {
  return <f64>pool.endpoints.ownPending(slot);
}

/** As a tick of the filter. True while the next one should come soon. */
export function turn(now: f64, gossips: bool): bool {
  scratch.enter();
  const busy = neighbours.turn(<i64>now, gossips);
  scratch.leave();
  return busy;
}

/** Pieces of gossip that came too fast to be read. */
export function lostNews(): f64 {
  return <f64>(neighbours.lost + pool.news.lost);
}
