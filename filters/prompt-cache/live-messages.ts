/**
 * Messages of `Lead`, by which the answer of a leader goes to the service while it passes (xds-server/state/answers/flight-protocol.ts).
 *
 *   first    {flight 1, content_type 2, key 3, age_ms 4, data 5}
 *   others   {data 5}, at last {end 6}               -> {open 1}, {received 2}
 */
import { ProtoFields, WireType } from "../lib/proto-fields";
import { putVarint } from "../lib/protobuf-wire";
import { Bytes, ByteWriter } from "../sdk";

const ID_SIZE: u8 = 16;

const text = new ByteWriter();
const digits = memory.data(16);
const fields = new ProtoFields();

/** What of an answer comes in front of its body. */
@final
export class LiveHead {
  /** Where it can be read along. */
  low: u64 = 0;
  high: u64 = 0;
  readonly contentType: Bytes = new Bytes();
  /** Of the answer, if clients may know it. */
  showKey: bool = false;
  keyLow: u64 = 0;
  keyHigh: u64 = 0;
  /** ms since its request was sent. */
  age: i64 = 0;
}

/** What a message of the service says. */
export namespace liveNews {
  export let open: bool = false;
  /** Bytes that it has; -1 when the message does not say. */
  export let received: i64 = -1;

  /** False when the bytes are no such message. */
  export function read(message: Bytes): bool {
    open = false;
    received = -1;
    fields.open(message.ptr, message.len);
    while (fields.next()) {
      if (fields.is(1, WireType.Varint)) open = fields.integer != 0;
      else if (fields.is(2, WireType.Varint)) received = <i64>min<u64>(fields.integer, i64.MAX_VALUE);
    }
    return !fields.failed;
  }
}

/** Valid until the next message is written, as those below. */
export function writeHead(head: LiveHead): Bytes {
  text.reset();
  id(1, head.low, head.high);
  bytes(2, head.contentType.ptr, head.contentType.len);
  if (head.showKey) id(3, head.keyLow, head.keyHigh);
  tag(4, WireType.Varint);
  number(<u64>min<i64>(max<i64>(head.age, 0), u32.MAX_VALUE));
  return text.view();
}

export function writeData(ptr: usize, length: i32): Bytes {
  text.reset();
  bytes(5, ptr, length);
  return text.view();
}

export function writeEnd(): Bytes {
  text.reset();
  tag(6, WireType.Varint);
  text.byte(1);
  return text.view();
}

function id(field: u8, low: u64, high: u64): void {
  tag(field, WireType.Bytes);
  text.byte(ID_SIZE);
  text.u32(<u32>low).u32(<u32>(low >> 32)).u32(<u32>high).u32(<u32>(high >> 32));
}

function bytes(field: u8, ptr: usize, length: i32): void {
  tag(field, WireType.Bytes);
  number(<u64>length);
  text.raw(ptr, length);
}

function tag(field: u8, type: WireType): void {
  text.byte((field << 3) | <u8>type);
}

function number(value: u64): void {
  text.raw(digits, <i32>(putVarint(digits, value) - digits));
}
