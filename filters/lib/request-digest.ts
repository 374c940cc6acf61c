/**
 * A key of 128 bits for the body of a request, while it streams by: two bodies have the same one when every JSON parser reads the same from them.
 *
 *   the same    order of members at any depth, white space, escapes, spelling of numbers (exact, no floats), at the top a member that is null and none
 *   different   all else: order of arrays, "1" and 1, "" and none, null and none further down; names that come twice, whose order and null count, as the last one
 *               is what many parsers take
 *
 * Members have a digest each, of name and value; an object is its digests in an order of their own. They are hashed and not summed up, so that nobody finds two
 * objects with the same sum. Hash: SipHash-2-4 with a key, over what `digest-token` describes. State is a frame per open bracket and a digest per member of open
 * objects; strings of any length take one kilobyte.
 *
 * JSON to the letter, without a byte order mark; anything else has no key. UTF-8 is the caller's to check (`utf8-check`). Reference: RFC 8259.
 */
import { DigestNumber } from "./digest-number";
import { DigestText } from "./digest-text";
import { token, TokenKind } from "./digest-token";
import { ScanStatus } from "./json-scanner";
import { MAX_DEPTH } from "./json-skip";
import { TextStatus } from "./json-text";
import { MemberDigests } from "./member-digests";
import { SIP_STATE, SipHash } from "./sip-hash";

/** Longest name of a member to be ignored, in bytes. */
export const MAX_IGNORED_NAME: i32 = 255;

/**
 * Frame of an open object or array:
 *   0   state of the hash around an object
 *   40  word of the name's hash, of the member that is being read, u64
 *   48  members or elements so far, u32
 *   52  opening bracket, u8
 */
const FRAME: usize = 56;
const NAME: usize = SIP_STATE;
const COUNT: usize = SIP_STATE + 8;
const BRACKET: usize = SIP_STATE + 12;

const enum State {
  Start,
  FirstName,
  Name,
  InName,
  Colon,
  FirstElement,
  Value,
  InText,
  InScalar,
  AfterValue,
  End,
  Failed,
}

@final
export class RequestDigest {
  /** Bytes that were hashed. The same for the same key; members that do not count are not in it. */
  size: u32 = 0;

  private k0: u64 = 0;
  private k1: u64 = 0;
  private readonly hash: SipHash = new SipHash();
  private readonly text: DigestText = new DigestText(this.hash);
  private readonly scalar: DigestNumber = new DigestNumber(this.hash);
  private readonly members: MemberDigests = new MemberDigests();
  private readonly frames: usize = heap.alloc(FRAME * MAX_DEPTH);
  /** Names that do not count: a length byte each, and the name. */
  private ignored: usize = 0;
  private ignoredEnd: usize = 0;

  private state: State = State.Start;
  private failure: ScanStatus = ScanStatus.Invalid;
  /** Innermost frame; `frames - FRAME` outside of all. */
  private frame: usize = 0;
  /** The current member of the body does not count. */
  private skipped: bool = false;
  /** `size` where it began. */
  private sizeBefore: u32 = 0;

  constructor() {
    this.reset();
  }

  /** Key of the hash, as two little-endian words; from the next `reset` on. */
  setKey(k0: u64, k1: u64): void {
    this.k0 = k0;
    this.k1 = k1;
  }

  /** Members of the body with this name do not count. The decoded bytes are copied; false when there are more than `MAX_IGNORED_NAME`. For configuration. */
  ignore(name: usize, length: i32): bool {
    if (length < 0 || length > MAX_IGNORED_NAME) return false;
    const used = this.ignoredEnd - this.ignored;
    const size = used + <usize>length + 1;
    this.ignored = used == 0 ? heap.alloc(size) : heap.realloc(this.ignored, size);
    this.ignoredEnd = this.ignored + size;
    store<u8>(this.ignored + used, <u8>length);
    memory.copy(this.ignored + used + 1, name, length);
    return true;
  }

  /** Ready for a new body. */
  reset(): void {
    this.state = State.Start;
    this.failure = ScanStatus.NeedMore;
    this.frame = this.frames - FRAME;
    this.members.reset();
    this.size = 0;
    this.hash.reset(this.k0, this.k1);
  }

  /** The key: of its 16 bytes the first eight as a little-endian word, and the other eight. Only when complete. */
  get low(): u64 {
    return this.hash.low;
  }

  get high(): u64 {
    return this.hash.high;
  }

  /** There is no key though it may be JSON: too deep, too many members, or a number nobody writes. */
  get refused(): bool {
    return this.failure == ScanStatus.Limit;
  }

  /** Bytes [from, from + length) come next. `Complete` when the body is; `Invalid` and `Limit` are final. O(length), allocates only for more members than ever before. */
  feed(from: usize, length: i32): ScanStatus {
    let at = from;
    const limit = from + <usize>length;
    while (at < limit && this.state != State.Failed) {
      switch (this.state) {
        case State.InName:
        case State.InText: {
          at = this.text.feed(at, limit);
          if (this.text.status == TextStatus.Closed) this.closeText();
          else if (this.text.status == TextStatus.Invalid) this.fail();
          break;
        }
        case State.InScalar: {
          at = this.scalar.feed(at, limit);
          if (at < limit) this.closeScalar();
          break;
        }
        default: {
          let byte = load<u8>(at);
          while (byte == 0x20 || byte == 0x0a || byte == 0x0d || byte == 0x09) {
            if (++at == limit) break;
            byte = load<u8>(at);
          }
          if (at == limit) break;
          this.structural(byte);
          if (this.state == State.InScalar) at = this.openScalar(at, limit);
          else at++;
        }
      }
    }
    if (this.state == State.Failed) return this.failure;
    return this.state == State.End ? ScanStatus.Complete : ScanStatus.NeedMore;
  }

  /** Outside of strings and scalars: one byte of grammar. That of a scalar is not consumed. */
  private structural(byte: u8): void {
    switch (this.state) {
      case State.Start:
        return byte == 0x7b ? this.open(byte) : this.fail();
      case State.FirstName:
        return byte == 0x7d ? this.close(byte) : this.openName(byte);
      case State.Name:
        return this.openName(byte);
      case State.Colon: {
        if (byte != 0x3a) return this.fail();
        this.state = State.Value;
        return;
      }
      case State.FirstElement:
        return byte == 0x5d ? this.close(byte) : this.openValue(byte);
      case State.Value:
        return this.openValue(byte);
      case State.AfterValue: {
        if (byte == 0x7d || byte == 0x5d) return this.close(byte);
        if (byte != 0x2c) return this.fail();
        this.state = this.inObject ? State.Name : State.Value;
        return;
      }
      default:
        // Something behind the body.
        return this.fail();
    }
  }

  private get inObject(): bool {
    return load<u8>(this.frame, BRACKET) == 0x7b;
  }

  private openName(byte: u8): void {
    if (byte != 0x22) return this.fail();
    if (this.frame == this.frames) this.sizeBefore = this.size;
    this.hash.reset(this.k0, this.k1);
    this.text.begin();
    this.state = State.InName;
  }

  private openValue(byte: u8): void {
    if (byte == 0x22) {
      this.text.begin();
      this.state = State.InText;
    } else if (byte == 0x7b || byte == 0x5b) {
      this.open(byte);
    } else if (byte == 0x2d || byte - 48 < 10 || byte - 97 < 26) {
      this.state = State.InScalar;
    } else {
      this.fail();
    }
  }

  private open(bracket: u8): void {
    if (this.frame == this.frames + FRAME * (MAX_DEPTH - 1)) return this.fail(ScanStatus.Limit);
    const frame = this.frame + FRAME;
    this.frame = frame;
    this.hash.save(frame);
    store<u32>(frame, 0, COUNT);
    store<u8>(frame, bracket, BRACKET);
    this.state = bracket == 0x7b ? State.FirstName : State.FirstElement;
  }

  private close(bracket: u8): void {
    const frame = this.frame;
    // The two of a pair differ in these two bits.
    if ((load<u8>(frame, BRACKET) ^ bracket) != 0x06) return this.fail();
    const count = load<u32>(frame, COUNT);
    if (bracket == 0x7d) {
      this.hash.restore(frame);
      this.hash.word(token(TokenKind.Object, this.members.take(count, this.hash)));
    } else {
      this.hash.word(token(TokenKind.Array, count));
    }
    this.frame = frame - FRAME;
    if (frame != this.frames) return this.closeValue(false);
    this.finish();
    this.state = State.End;
  }

  private closeText(): void {
    if (this.state == State.InText) return this.closeValue(false);
    store<u64>(this.frame, this.hash.trace, NAME);
    if (this.frame == this.frames) this.skipped = this.isIgnored();
    this.state = State.Colon;
  }

  /** Returns the address behind it, or `at` while its end is not known. */
  private openScalar(at: usize, limit: usize): usize {
    const behind = this.scalar.short(at, limit);
    if (behind != at) this.closeValue(false);
    else this.scalar.begin();
    return behind;
  }

  private closeScalar(): void {
    const status = this.scalar.finish();
    if (status == ScanStatus.Complete) this.closeValue(this.scalar.isNull);
    else this.fail(status);
  }

  /** A member or an element is over. */
  private closeValue(isNull: bool): void {
    const frame = this.frame;
    this.state = State.AfterValue;
    const count = load<u32>(frame, COUNT);
    if (this.inObject) {
      const top = frame == this.frames;
      if (top && this.skipped) {
        this.size = this.sizeBefore;
        return;
      }
      const optional = top && isNull;
      this.finish();
      if (optional) this.size = this.sizeBefore;
      const kept = this.members.push(count, load<u64>(frame, NAME), this.hash.low, this.hash.high, optional);
      if (!kept) return this.fail(ScanStatus.Limit);
    }
    store<u32>(frame, count + 1, COUNT);
  }

  private finish(): void {
    this.hash.finish();
    this.size += <u32>this.hash.total;
  }

  private isIgnored(): bool {
    for (let at = this.ignored; at < this.ignoredEnd; at += <usize>load<u8>(at) + 1) {
      if (this.text.equals(at + 1, load<u8>(at))) return true;
    }
    return false;
  }

  private fail(failure: ScanStatus = ScanStatus.Invalid): void {
    this.failure = failure;
    this.state = State.Failed;
  }
}
