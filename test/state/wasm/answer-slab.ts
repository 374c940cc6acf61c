/** filters/state/{answer-slab,purge-list,answer-entry} behind plain exports: the tests call them on any worker of the test host, as Envoy would call a callback. */
import { Bytes, HttpContext, registerRoot, RootContext, scratch, StreamContext } from "../../../filters/sdk";
import { AnswerDraft, AnswerMeta, StoredAnswer } from "../../../filters/state/answer-entry";
import { AnswerSlab, Found } from "../../../filters/state/answer-slab";
import { Purge, PurgeList } from "../../../filters/state/purge-list";

export * from "../../../filters/sdk/exports/lifecycle";

class Stream extends HttpContext {}

class Root extends RootContext {
  createStream(): StreamContext {
    return new Stream(this);
  }
}
registerRoot("", () => new Root());

const ROOM: i32 = 5 << 20;
let input: usize = 0;
let output: usize = 0;
const report = memory.data(256, 8);
const meta = new AnswerMeta();
const view = new Bytes();
const draft = new AnswerDraft();
const found = new StoredAnswer();
let purges: PurgeList = new PurgeList();
let slab: AnswerSlab = new AnswerSlab(1 << 20, 4096, purges);
let left: usize = 0;

/** Where tests put bodies and entries: 5 MiB. */
export function inputAt(): usize {
  if (input == 0) input = heap.alloc(ROOM);
  return input;
}

/** The entry that was found last; copied before the callback ends. */
export function outputAt(): usize {
  if (output == 0) output = heap.alloc(ROOM);
  return output;
}

/** `anew`: with a list of purges of its own, as in a VM that was made anew. */
export function open(maxBytes: i64, maxEntryBytes: i32, anew: bool): void {
  if (anew) purges = new PurgeList();
  slab = new AnswerSlab(maxBytes, maxEntryBytes, purges);
}

export function scratchLeft(): i32 {
  return <i32>left;
}

/** The meta of drafts to come. */
export function describe(api: i32, flags: i32, storedAt: i64, expiresAt: i64, tenant: i64, model: i64): void {
  meta.api = <u8>api;
  meta.flags = <u8>flags;
  meta.storedAt = storedAt;
  meta.expiresAt = expiresAt;
  meta.tenant = tenant;
  meta.model = model;
}

export function tokens(input: u32, output: u32, cached: u32): void {
  meta.inputTokens = input;
  meta.outputTokens = output;
  meta.cachedTokens = cached;
}

/** Stores the input: a content type and a body behind it. -1: no draft. */
export function put(low: i64, high: i64, contentType: i32, body: i32, staleUntil: i64, now: i64): i32 {
  scratch.enter();
  view.set(inputAt(), contentType);
  const at = draft.begin(meta, view, body);
  let kept = -1;
  if (at != 0) {
    memory.copy(at, inputAt() + <usize>contentType, body);
    const mark = scratch.mark();
    kept = slab.store(low, high, draft, staleUntil, now);
    left = scratch.mark() - mark;
  }
  scratch.leave();
  return kept;
}

/** Makes an entry of the input and copies it out; its length, 0 when there is none. */
export function write(contentType: i32, body: i32): i32 {
  scratch.enter();
  view.set(inputAt(), contentType);
  const at = draft.begin(meta, view, body);
  if (at != 0) {
    memory.copy(at, inputAt() + <usize>contentType, body);
    memory.copy(outputAt(), draft.entry.ptr, draft.entry.len);
  }
  const length = draft.entry.len;
  scratch.leave();
  return length;
}

/** Stores the input, an entry as it is. */
export function take(low: i64, high: i64, length: i32, staleUntil: i64, now: i64): i32 {
  scratch.enter();
  view.set(inputAt(), length);
  const kept = draft.take(view) ? <i32>slab.store(low, high, draft, staleUntil, now) : -1;
  scratch.leave();
  return kept;
}

/** Stores when there is no draft. */
export function takeNothing(low: i64, high: i64, now: i64): i32 {
  scratch.enter();
  draft.clear();
  const kept = slab.store(low, high, draft, now + 1000, now);
  scratch.leave();
  return kept;
}

export function read(length: i32): bool {
  scratch.enter();
  view.set(inputAt(), length);
  const done = found.read(view);
  scratch.leave();
  return done;
}

export function find(low: i64, high: i64, now: i64): i32 {
  scratch.enter();
  const mark = scratch.mark();
  const what = slab.find(low, high, now, found);
  left = scratch.mark() - mark;
  if (what != Found.Missing) memory.copy(outputAt(), found.entry.ptr, found.entry.len);
  scratch.leave();
  return what;
}

/** Of the answer that was found or read: i64 each of its meta, stale until, lengths of content type, body and entry. */
export function foundAt(): usize {
  const told = found.meta;
  store<i64>(report, told.api);
  store<i64>(report, told.flags, 8);
  store<i64>(report, told.storedAt, 16);
  store<i64>(report, told.expiresAt, 24);
  store<u64>(report, told.tenant, 32);
  store<u64>(report, told.model, 40);
  store<i64>(report, told.inputTokens, 48);
  store<i64>(report, told.outputTokens, 56);
  store<i64>(report, told.cachedTokens, 64);
  store<i64>(report, found.staleUntil, 72);
  store<i64>(report, found.contentType.len, 80);
  store<i64>(report, found.body.len, 88);
  store<i64>(report, found.entry.len, 96);
  return report;
}

export function remove(low: i64): bool {
  scratch.enter();
  const mark = scratch.mark();
  const done = slab.remove(low);
  left = scratch.mark() - mark;
  scratch.leave();
  return done;
}

/** i64: evictions, contention, torn, purged, unavailable, used, bytes, maxEntryBytes, records, epoch, sequence, allBefore, isKnown. */
export function counters(): usize {
  store<i64>(report, slab.evictions);
  store<i64>(report, slab.contention, 8);
  store<i64>(report, slab.torn, 16);
  store<i64>(report, slab.purged, 24);
  store<i64>(report, slab.unavailable, 32);
  store<i64>(report, slab.used, 40);
  store<i64>(report, slab.bytes, 48);
  store<i64>(report, slab.maxEntryBytes, 56);
  store<i64>(report, purges.records, 64);
  store<u64>(report, purges.epoch, 72);
  store<u64>(report, purges.sequence, 80);
  store<i64>(report, purges.allBefore, 88);
  store<i64>(report, purges.isKnown ? 1 : 0, 96);
  return report;
}

export function purge(kind: i32, low: i64, high: i64, at: i64, now: i64): bool {
  scratch.enter();
  const mark = scratch.mark();
  const done = purges.add(<Purge>kind, low, high, at, now);
  left = scratch.mark() - mark;
  scratch.leave();
  return done;
}

export function follow(epoch: i64, sequence: i64, now: i64): bool {
  scratch.enter();
  const done = purges.follow(epoch, sequence, now);
  scratch.leave();
  return done;
}

export function readPurges(now: i64): bool {
  scratch.enter();
  const mark = scratch.mark();
  const news = purges.read(now);
  left = scratch.mark() - mark;
  scratch.leave();
  return news;
}

export function refreshPurges(now: i64): bool {
  scratch.enter();
  const news = purges.refresh(now);
  scratch.leave();
  return news;
}

/** By the list alone, of an answer with the meta described. */
export function isDead(low: i64, high: i64): bool {
  return purges.isDead(low, high, meta);
}
