/**
 * Messages of `tokenmesh.answers.v1.Answers`, the service that keeps answers for all Envoys (xds-server/state/answers).
 *
 *   Get     {key 1, tenant 2, model 3, partition 4, text 5, threshold_permille 6, speed_percent 7, max_gap_ms 8, replay_of_ms 9, show_key 10}
 *                                                    -> {age_ms 1, value 2, similarity_permille 3, key 4, replay 5}, empty when there is none
 *   Put     {key 1, ttl_ms 2, partition 4, text 5, pace 6, value 3}      -> {stored 1}
 *   Purges  {epoch 1, since 2, envoy 3, wait_ms 4}   -> {epoch 1, sequence 2, now_ms 3, purges 4 {kind 1, low 2, high 3, at_ms 4}}
 *
 * Keys are 16 bytes, the lower word first; hashes, epochs and their like are fixed64.
 */
import { ProtoFields, WireType } from "../lib/proto-fields";
import { putVarint } from "../lib/protobuf-wire";
import { Bytes, ByteWriter } from "../sdk";

const KEY_SIZE: u8 = 16;
/** Longest name of an Envoy that the service takes. */
const MOST_NAME: i32 = 512;

const text = new ByteWriter();
const digits = memory.data(16);
const fields = new ProtoFields();
const inner = new ProtoFields();

/** What `readPurges` found of the answer, and of each purge. */
@final
export class PurgesAnswer {
  epoch: u64 = 0;
  sequence: u64 = 0;
  nowMs: i64 = 0;
}

@final
export class PurgeOrder {
  kind: u32 = 0;
  low: u64 = 0;
  high: u64 = 0;
  atMs: i64 = 0;
}

export interface PurgeSink {
  purge(answer: PurgesAnswer, order: PurgeOrder): void;
}

/** The words of a request, and what they are found under. */
@final
export class Question {
  low: u64 = 0;
  high: u64 = 0;
  /** Least similarity in 1/1000; 0: the service's own. */
  similarity: i32 = 0;
  readonly words: ByteWriter = new ByteWriter();
}

/** What `readGet` found. */
@final
export class StoredValue {
  /** Borrowed; empty when there is none. */
  readonly bytes: Bytes = new Bytes();
  /** In 1/1000; 0 for the answer to this very question. */
  similarity: i32 = 0;
  /** Of the question that it is the answer to, when it is another one. */
  low: u64 = 0;
  high: u64 = 0;
  /** It is given as it came at this id. */
  replays: bool = false;
  replayLow: u64 = 0;
  replayHigh: u64 = 0;
}

/** The answer is to be given as it came. */
@final
export class WantedReplay {
  /** 0: it is not. */
  speedPercent: i32 = 0;
  maxGapMs: i32 = 0;
  /** When the upstream of the answer that is here already was asked, ms since 1970; 0: there is none. */
  of: i64 = 0;
  showKey: bool = false;
}

/** Valid until the next message is written, as those below. `question`: an answer to one like it will do. */
export function writeGet(low: u64, high: u64, tenant: u64, model: u64, question: Question | null, replay: WantedReplay): Bytes {
  text.reset();
  writeKey(1, low, high);
  fixed(2, tenant);
  fixed(3, model);
  if (question !== null) {
    writeQuestion(question);
    varint(6, <u64>question.similarity);
  }
  if (replay.speedPercent > 0) {
    varint(7, <u64>replay.speedPercent);
    varint(8, <u64>replay.maxGapMs);
    varint(9, <u64>replay.of);
    varint(10, replay.showKey ? 1 : 0);
  }
  return text.view();
}

/** The value is what follows: `size` bytes that are to be appended to what is returned. */
export function beginPut(low: u64, high: u64, ttlMs: i64, question: Question | null, pace: Bytes, size: i32): ByteWriter {
  text.reset();
  writeKey(1, low, high);
  varint(2, <u64>ttlMs);
  if (question !== null) writeQuestion(question);
  if (pace.len > 0) {
    tag(6, WireType.Bytes);
    number(pace.len).bytes(pace);
  }
  tag(3, WireType.Bytes);
  return number(<u64>size);
}

/** `envoy`: its node id, for people. */
export function writePurges(epoch: u64, since: u64, envoy: Bytes, waitMs: i32): Bytes {
  text.reset();
  fixed(1, epoch);
  varint(2, since);
  if (envoy.len > 0 && envoy.len <= MOST_NAME) {
    tag(3, WireType.Bytes);
    number(envoy.len).bytes(envoy);
  }
  varint(4, <u64>waitMs);
  return text.view();
}

/** False when the bytes are no such message. */
export function readGet(message: Bytes, into: StoredValue): bool {
  into.bytes.clear();
  into.similarity = 0;
  into.replays = false;
  let keys = false;
  fields.open(message.ptr, message.len);
  while (fields.next()) {
    if (fields.is(2, WireType.Bytes)) into.bytes.set(fields.ptr, fields.length);
    else if (fields.is(3, WireType.Varint)) into.similarity = <i32>min<u64>(fields.integer, 1000);
    else if (fields.is(4, WireType.Bytes) && fields.length == <i32>KEY_SIZE) {
      into.low = load<u64>(fields.ptr);
      into.high = load<u64>(fields.ptr, 8);
      keys = true;
    } else if (fields.is(5, WireType.Bytes) && fields.length == <i32>KEY_SIZE) {
      into.replayLow = load<u64>(fields.ptr);
      into.replayHigh = load<u64>(fields.ptr, 8);
      into.replays = true;
    }
  }
  return !fields.failed && (into.similarity == 0 || keys);
}

export function readPut(message: Bytes): bool {
  let stored = false;
  fields.open(message.ptr, message.len);
  while (fields.next()) if (fields.is(1, WireType.Varint)) stored = fields.integer != 0;
  return stored && !fields.failed;
}

/** Fills `answer`, then tells the sink each purge. False when the bytes are no such message: then nobody is told anything. O(message). */
export function readPurges(message: Bytes, answer: PurgesAnswer, order: PurgeOrder, sink: PurgeSink): bool {
  fields.open(message.ptr, message.len);
  while (fields.next()) {
    if (fields.is(1, WireType.Fixed64)) answer.epoch = load<u64>(fields.ptr);
    else if (fields.is(2, WireType.Varint)) answer.sequence = fields.integer;
    else if (fields.is(3, WireType.Varint)) answer.nowMs = <i64>fields.integer;
    else if (fields.is(4, WireType.Bytes) && !readOrder(order)) return false;
  }
  if (fields.failed) return false;
  fields.open(message.ptr, message.len);
  while (fields.next()) if (fields.is(4, WireType.Bytes) && readOrder(order)) sink.purge(answer, order);
  return true;
}

function readOrder(order: PurgeOrder): bool {
  order.kind = 0;
  order.low = 0;
  order.high = 0;
  order.atMs = 0;
  inner.open(fields.ptr, fields.length);
  while (inner.next()) {
    if (inner.is(1, WireType.Varint)) order.kind = <u32>inner.integer;
    else if (inner.is(2, WireType.Fixed64)) order.low = load<u64>(inner.ptr);
    else if (inner.is(3, WireType.Fixed64)) order.high = load<u64>(inner.ptr);
    else if (inner.is(4, WireType.Varint)) order.atMs = <i64>inner.integer;
  }
  return !inner.failed;
}

function writeQuestion(question: Question): void {
  writeKey(4, question.low, question.high);
  tag(5, WireType.Bytes);
  number(question.words.len).bytes(question.words.view());
}

function writeKey(field: u8, low: u64, high: u64): void {
  tag(field, WireType.Bytes);
  text.byte(KEY_SIZE);
  word(low);
  word(high);
}

function fixed(field: u8, value: u64): void {
  if (value == 0) return;
  tag(field, WireType.Fixed64);
  word(value);
}

function varint(field: u8, value: u64): void {
  if (value == 0) return;
  tag(field, WireType.Varint);
  number(value);
}

function tag(field: u8, type: WireType): void {
  text.byte((field << 3) | <u8>type);
}

function number(value: u64): ByteWriter {
  return text.raw(digits, <i32>(putVarint(digits, value) - digits));
}

function word(value: u64): void {
  text.u32(<u32>value).u32(<u32>(value >> 32));
}
