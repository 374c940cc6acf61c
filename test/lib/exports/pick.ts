/** Exports of filters/lib/pick for its tests on Node: pools with their tickets, and a prefix index alone. */
import "../../../filters/sdk/abort";
import { HashFunction } from "../../../filters/lib/hash-function";
import { HashMethod } from "../../../filters/lib/hash-method";
import { EndpointMask, Outcome, Overflow, PickList, PickRequest } from "../../../filters/lib/pick";
import { Policy, Pool, PoolSettings, PrefixIndex, Ticket } from "../../../filters/lib/pick";
import { PriorityLevels } from "../../../filters/lib/pick/priority-levels";

const CHAIN: i32 = 8192;
const TICKETS: i32 = 4096;

const chain: usize = memory.data(65536);
const request = new PickRequest();
const list = new PickList();
let settings = new PoolSettings();
const pools = new Array<Pool>();
const tickets = new Array<Ticket>(TICKETS);
for (let i = 0; i < TICKETS; i++) tickets[i] = new Ticket();

/** Where chains are put: up to 8192 hashes. */
export function chainAt(): usize {
  assert(CHAIN * 8 == 65536);
  return chain;
}

/** Settings of the next pool, as by default. */
export function begin(policy: i32, capacity: i32): void {
  settings = new PoolSettings();
  settings.policy = <Policy>policy;
  settings.capacity = capacity;
}

export function setBounds(bound: f64, least: i32, maxInflight: i32, clockwise: bool): void {
  settings.bound = bound;
  settings.leastInflight = least;
  settings.maxInflight = maxInflight;
  settings.overflow = clockwise ? Overflow.Clockwise : Overflow.RandomJump;
}

export function setAffinity(threshold: f64, slack: f64, queue: f64, requestTokens: f64): void {
  settings.threshold = threshold;
  settings.slackTokens = slack;
  settings.queueTokens = queue;
  settings.requestTokens = requestTokens;
}

export function setIndex(blocks: i32, pairs: i32, news: i32): void {
  settings.blocksPerEndpoint = blocks;
  settings.maxIndexPairs = pairs;
  settings.newsCapacity = news;
}

export function setStart(slowStartMs: i64): void {
  settings.slowStartMs = slowStartMs;
}

export function setPreferences(lora: bool, preferLocality: bool, locality: u16, foreignLoad: bool): void {
  settings.loraAffinity = lora;
  settings.preferLocality = preferLocality;
  settings.locality = locality;
  settings.foreignLoad = foreignLoad;
}

export function setHash(method: i32, points: i32): void {
  settings.hashFunction = HashFunction.XxHash64;
  settings.hashMethod = <HashMethod>method;
  settings.hashPoints = points;
}

/** Number of the new pool. */
export function open(): i32 {
  for (let i = 0; i < TICKETS; i++) tickets[i].open = false;
  return pools.push(new Pool(settings)) - 1;
}

/** Drops all pools. */
export function reset(): void {
  while (pools.length > 0) pools.pop();
  __collect();
}

export function add(pool: i32, address: u64, weight: u32, priority: u8, locality: u16, now: f64): i32 {
  return pools[pool].add(address, 0, 0, weight, priority, locality, <i64>now);
}

export function build(pool: i32): void {
  pools[pool].build();
}

export function remove(pool: i32, slot: i32): void {
  pools[pool].remove(slot);
}

export function find(pool: i32, address: u64): i32 {
  return pools[pool].endpoints.find(address);
}

export function ask(now: f64, random: u64): void {
  request.reset(<i64>now, random);
}

export function askKey(key: u64): void {
  request.key = key;
  request.hasKey = true;
}

export function askPrompt(blocks: i32, tokens: i32, blockTokens: f64): void {
  request.chain = chain;
  request.blocks = blocks;
  request.tokens = tokens;
  request.blockTokens = blockTokens;
}

export function askModel(model: u64, adapter: u64): void {
  request.model = model;
  request.adapter = adapter;
}

export function askSubset(slot: i32): void {
  request.hasSubset = true;
  if (slot >= 0) request.subset.add(slot);
}

export function pick(pool: i32): bool {
  return pools[pool].pick(request, list);
}

export function listCount(): i32 {
  return list.count;
}

export function listSlot(index: i32): i32 {
  return list.slot(index);
}

export function listMatched(): i32 {
  return list.matched;
}

export function listBest(): i32 {
  return list.bestMatch;
}

export function listUncached(): i32 {
  return list.uncached;
}

export function listDesperate(): bool {
  return list.desperate;
}

export function sent(pool: i32, ticket: i32): void {
  pools[pool].sent(request, list, tickets[ticket]);
}

export function served(pool: i32, ticket: i32, slot: i32, blocks: i32, now: f64): void {
  pools[pool].served(tickets[ticket], slot, chain, blocks, <i64>now);
}

export function firstByte(pool: i32, ticket: i32, now: f64): void {
  pools[pool].firstByte(tickets[ticket], <i64>now);
}

export function done(pool: i32, ticket: i32, now: f64, outcome: i32): void {
  pools[pool].done(tickets[ticket], <i64>now, <Outcome>outcome);
}

export function cached(pool: i32, ticket: i32, blocks: i32): void {
  pools[pool].cached(tickets[ticket], chain, blocks);
}

export function fill(pool: i32, ticket: i32, blocks: i32): void {
  pools[pool].fill(tickets[ticket], blocks);
}

export function correct(pool: i32, ticket: i32, predicted: i32, cachedTokens: i32): void {
  pools[pool].correct(tickets[ticket], predicted, cachedTokens);
}

export function ticketSlot(ticket: i32): i32 {
  return tickets[ticket].slot;
}

export function ticketPredicted(ticket: i32): i32 {
  return tickets[ticket].predicted;
}

export function trust(pool: i32, slot: i32): f64 {
  return pools[pool].trust.of(slot);
}

export function learn(pool: i32, slot: i32, count: i32): void {
  pools[pool].learn(slot, chain, count);
}

export function setBlocks(pool: i32, slot: i32, blocks: i32): void {
  pools[pool].setBlocks(slot, blocks);
}

export function indexCountOf(pool: i32, slot: i32): i32 {
  const index = pools[pool].index;
  return index === null ? -1 : index.count(slot);
}

export function saturation(pool: i32, now: f64, waiting: f64, kvPermille: f64): f64 {
  return pools[pool].saturation(<i64>now, waiting, kvPermille);
}

export function inflight(pool: i32, slot: i32): i32 {
  return pools[pool].endpoints.inflight(slot);
}

export function pending(pool: i32, slot: i32): f64 {
  return <f64>pools[pool].endpoints.pending(slot);
}

export function ownInflight(pool: i32, slot: i32): i32 {
  return pools[pool].endpoints.ownInflight(slot);
}

export function ownPending(pool: i32, slot: i32): f64 {
  return <f64>pools[pool].endpoints.ownPending(slot);
}

export function setOthers(pool: i32, slot: i32, count: i32, tokens: f64): void {
  pools[pool].endpoints.setOthers(slot, count, <i64>tokens);
}

export function setHealthy(pool: i32, slot: i32, healthy: bool, now: f64): void {
  pools[pool].endpoints.setHealthy(slot, healthy, <i64>now);
}

export function setDraining(pool: i32, slot: i32, draining: bool): void {
  pools[pool].endpoints.setDraining(slot, draining);
}

export function addModel(pool: i32, slot: i32, model: u64): bool {
  return pools[pool].endpoints.addModel(slot, model);
}

export function clearModels(pool: i32, slot: i32): void {
  pools[pool].endpoints.clearModels(slot);
}

export function setSnapshot(pool: i32, slot: i32, at: f64, waiting: i32, running: i32, kv: i32, adapters: i32): void {
  pools[pool].endpoints.setSnapshot(slot, <i64>at, waiting, running, kv, adapters);
}

export function addAdapter(pool: i32, slot: i32, hash: u64, active: bool): void {
  pools[pool].endpoints.engines.addAdapter(slot, hash, active);
}

export function quarantineEnd(pool: i32, slot: i32): f64 {
  return <f64>pools[pool].endpoints.quarantine.endOf(slot);
}

export function learnQuarantine(pool: i32, slot: i32, until: f64, failures: i32): void {
  pools[pool].endpoints.quarantine.learn(slot, <i64>until, failures);
}

export function failures(pool: i32, slot: i32): i32 {
  return pools[pool].endpoints.quarantine.failures(slot);
}

export function onProbation(pool: i32, slot: i32): bool {
  return pools[pool].endpoints.quarantine.onProbation(slot);
}

export function power(pool: i32, slot: i32, now: f64): f64 {
  return pools[pool].endpoints.power(slot, <i64>now);
}

export function responseTime(pool: i32, slot: i32, now: f64): f64 {
  return pools[pool].endpoints.times.average(slot, <i64>now);
}

export function newsCount(pool: i32): i32 {
  return pools[pool].news.count;
}

export function newsSlot(pool: i32, at: i32): i32 {
  return pools[pool].news.slot(at);
}

export function newsHash(pool: i32, at: i32): u64 {
  return pools[pool].news.hash(at);
}

export function newsLost(pool: i32): u64 {
  return pools[pool].news.lost;
}

export function newsTake(pool: i32, count: i32): void {
  pools[pool].news.take(count);
}

/** `count` picks with the request as it is, and random numbers that follow from `random`. Returns the sum of the slots, so that nothing is left out. */
export function pickMany(pool: i32, count: i32): i32 {
  let sum = 0;
  for (let i = 0; i < count; i++) {
    request.random = request.random * 6364136223846793005 + 1442695040888963407;
    pools[pool].pick(request, list);
    sum += list.slot(0);
  }
  return sum;
}

/** The same, sent and over at once. */
export function serveMany(pool: i32, count: i32, now: f64): void {
  for (let i = 0; i < count; i++) {
    pools[pool].pick(request, list);
    pools[pool].sent(request, list, tickets[0]);
    pools[pool].firstByte(tickets[0], <i64>now);
    pools[pool].done(tickets[0], <i64>now, Outcome.Success);
  }
}

/** Where the next object would be: moves when something is allocated. */
export function heapTop(): usize {
  const block = heap.alloc(16);
  heap.free(block);
  return block;
}

// A prefix index alone.

let index = new PrefixIndex(1, 1, 1);
const among = new EndpointMask();
const lengths = new StaticArray<i32>(256);

export function indexOpen(capacity: i32, pairs: i32, limit: i32): i32 {
  index = new PrefixIndex(capacity, pairs, limit);
  __collect();
  return <i32>index.bytes;
}

export function indexLimit(slot: i32, blocks: i32): void {
  index.setLimit(slot, blocks);
}

export function indexInsert(slot: i32, hash: u64): bool {
  return index.insert(slot, hash);
}

/** As a pool does it: from the tail to the head. */
export function indexInsertChain(slot: i32, blocks: i32): void {
  index.insertChain(slot, chain, blocks, 0);
}

/** ms: the time of what comes next. */
export function indexNow(now: u32): void {
  index.now = now;
}

export function indexAge(slot: i32): u32 {
  return index.age(slot);
}

export function indexFill(slot: i32, blocks: i32): void {
  index.fill(slot, blocks);
}

export function indexClear(slot: i32): void {
  index.clear(slot);
}

export function indexHas(slot: i32, hash: u64): bool {
  return index.has(slot, hash);
}

export function indexCount(slot: i32): i32 {
  return index.count(slot);
}

export function indexPairs(): i32 {
  return index.pairs;
}

export function indexBlocks(): i32 {
  return index.blocks;
}

export function amongClear(): void {
  among.clear();
}

export function amongAdd(slot: i32): void {
  among.add(slot);
}

/** Numbers of slots that are not asked about stay -1. */
export function indexMatch(blocks: i32): i32 {
  for (let slot = 0; slot < 256; slot++) lengths[slot] = -1;
  return index.match(chain, blocks, among, lengths);
}

export function indexLength(slot: i32): i32 {
  return lengths[slot];
}

/** Masks. */
const mask = new EndpointMask();

export function maskAdd(slot: i32): void {
  mask.add(slot);
}

export function maskRemove(slot: i32): void {
  mask.remove(slot);
}

export function maskHas(slot: i32): bool {
  return mask.has(slot);
}

export function maskClear(): void {
  mask.clear();
}

export function maskCount(): i32 {
  return mask.count;
}

export function maskIsEmpty(): bool {
  return mask.isEmpty;
}

export function maskNext(from: i32): i32 {
  return mask.next(from);
}

export function maskAt(rank: i32): i32 {
  return mask.at(rank);
}

export function setDegraded(pool: i32, slot: i32, degraded: bool): void {
  pools[pool].endpoints.setDegraded(slot, degraded);
}

// Priority levels alone.

const levels = new PriorityLevels();

export function levelsBegin(): void {
  levels.begin();
}

export function levelsAdd(priority: i32, usable: bool, degraded: bool): void {
  levels.add(priority, usable, degraded);
}

/** 2 x priority, and 1 for the degraded ones of it; -1 for nobody. */
export function levelsChoose(draw: u64): i32 {
  return levels.choose(draw) ? 2 * levels.priority + <i32>levels.degraded : -1;
}
