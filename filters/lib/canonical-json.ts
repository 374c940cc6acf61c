/**
 * Writes JSON in one spelling, whatever the client's: strings decoded, no white space outside of them.
 *
 * Quotes become a byte that no UTF-8 has, so that what stands in a string cannot pass for what stands around it. Input comes in pieces and may be cut anywhere; an escape
 * that is cut is left for the next piece. What is no JSON (a wrong escape) is written as it stands. The order of members stays.
 *
 * Strings that are data (images, audio, files) are hundreds of kilobytes for a few tokens: of a string that begins with 1,024 printable ASCII characters and no space,
 * what follows counts as one hash. Text, in any language, is told from that by its first space or letter beyond ASCII.
 */
import { BlockHashes } from "./block-hashes";
import { BLOCK, bytesEqual, escapedBytes, hasEither, isEither, Needle, needle } from "./json-block";
import { hex } from "./json-text";

/** In place of the quotes of a string. */
const QUOTE: u8 = 0xfe;
/** Before the hash of data. */
const DATA: u8 = 0xfd;
/** First bytes of data, which are written out. */
const SHOWN_DATA: i32 = 1024;
/** It is known to be text, or does not matter. */
const NO_DATA: i32 = -1;

/** Most pieces between escapes are no longer. */
const COPIED: usize = 32;

/** What stands for itself or a control character behind a backslash, by its letter; 0 for what does not. */
const PLAIN_ESCAPES: usize = memory.data(128);
store<u8>(PLAIN_ESCAPES + 0x22, 0x22);
store<u8>(PLAIN_ESCAPES + 0x5c, 0x5c);
store<u8>(PLAIN_ESCAPES + 0x2f, 0x2f);
store<u8>(PLAIN_ESCAPES + 0x62, 8);
store<u8>(PLAIN_ESCAPES + 0x66, 12);
store<u8>(PLAIN_ESCAPES + 0x6e, 10);
store<u8>(PLAIN_ESCAPES + 0x72, 13);
store<u8>(PLAIN_ESCAPES + 0x74, 9);

@final
export class CanonicalJson {
  private inside: bool = false;
  /** Characters of the open string while all of them could be data, else `NO_DATA`. */
  private data: i32 = NO_DATA;
  /** The piece ends here; readable up to it. */
  private limit: usize = 0;
  /** The value ends with the piece, so that nothing is cut. */
  private last: bool = false;

  constructor(private readonly chain: BlockHashes) {}

  /** A string without its quotes comes next. */
  beginText(): void {
    this.inside = true;
    this.data = NO_DATA;
  }

  /** Any value comes next. */
  beginValue(): void {
    this.inside = false;
  }

  /** Writes from `at` up to `limit`, of bytes that are readable up to `readable`. `last`: the value ends at `limit`. Returns the first byte that is not done. O(bytes). */
  write(at: usize, limit: usize, readable: usize, last: bool): usize {
    const chain = this.chain;
    this.limit = limit;
    this.last = last;
    while (at < limit) {
      if (this.inside) {
        at = this.string(at, readable);
        if (this.inside || chain.full) return at;
        continue;
      }
      if (chain.out > chain.high) {
        chain.flush();
        if (chain.full) return at;
      }
      const byte = load<u8>(at++);
      if (byte == 0x22) {
        this.inside = true;
        this.data = 0;
        store<u8>(chain.out++, QUOTE);
      } else if (byte > 0x20) {
        store<u8>(chain.out++, byte);
      }
    }
    return at;
  }

  /** Inside of a string. Returns at its end, at `limit`, at an escape that is cut, or when the chain is full. */
  private string(at: usize, readable: usize): usize {
    const chain = this.chain;
    const limit = this.limit;
    const high = chain.high;
    const quote = needle(Needle.Quote);
    const backslash = needle(Needle.Backslash);
    let out = chain.out;
    while (at < limit) {
      if (out > high) {
        chain.out = out;
        chain.flush();
        if (chain.full) return at;
        out = chain.out;
      }
      if (at + BLOCK <= limit && at + 2 * BLOCK <= readable && this.data < 0) {
        if (!hasEither(at, quote, backslash)) {
          copyBlock(at, out);
          at += BLOCK;
          out += BLOCK;
          continue;
        }
        // Where the escapes of a block are is known from one mask, so that none of them waits for the one before.
        const slashes = bytesEqual(at, backslash);
        const escaped = escapedBytes(slashes, 0);
        const quotes = bytesEqual(at, quote) & ~escaped;
        let length = quotes == 0 ? BLOCK : <usize>ctz(quotes);
        let starts = slashes & ~escaped & ((quotes & -quotes) - 1);
        // The letter of an escape is in the next block.
        if (starts >> 63 != 0) {
          length = BLOCK - 1;
          starts &= ~((<u64>1) << 63);
        }
        let done: usize = 0;
        let plain: u8 = 1;
        for (; starts != 0; starts &= starts - 1) {
          const start = <usize>ctz(starts);
          plain = plainEscape(load<u8>(at + start, 1));
          if (plain == 0) {
            length = start;
            break;
          }
          copy(at + done, out, start - done);
          out += start - done;
          store<u8>(out++, plain);
          done = start + 2;
        }
        copy(at + done, out, length - done);
        out += length - done;
        at += length;
        if (quotes == 0 && plain != 0) continue;
      } else if (at + 16 <= readable) {
        const block = v128.load(at);
        v128.store(out, block);
        const special = i8x16.bitmask(isEither(block, quote, backslash));
        let length = special == 0 ? 16 : ctz(special);
        if (<usize>length > limit - at) length = <i32>(limit - at);
        if (this.data >= 0) {
          length = this.seen(block, length);
          if (this.data == SHOWN_DATA) {
            chain.out = out + <usize>length;
            at += <usize>length;
            this.beginData();
            out = chain.out;
            continue;
          }
        }
        at += <usize>length;
        out += <usize>length;
        if (length == 16 || at == limit) continue;
      }
      const byte = load<u8>(at);
      if (byte == 0x22) {
        chain.out = out;
        this.close();
        return at + 1;
      }
      if (byte != 0x5c) {
        store<u8>(out++, byte);
        at++;
        if (this.data < 0) continue;
      } else {
        if (this.data < 0 && at + 1 < limit) {
          // The text goes on here whatever the letter is, so nothing waits for the table.
          const plain = plainEscape(load<u8>(at, 1));
          if (plain != 0) {
            store<u8>(out++, plain);
            at += 2;
            continue;
          }
        }
        chain.out = out;
        const next = this.escape(at);
        if (next == at) return at;
        at = next;
        // Escapes write up to four bytes, or one of `\/`.
        const written = chain.out - out;
        out = chain.out;
        if (this.data < 0 || written == 0) continue;
      }
      chain.out = out;
      this.count(load<u8>(out - 1));
      out = chain.out;
    }
    chain.out = out;
    return at;
  }

  /** How many of the first `length` bytes of the block are taken while it is open whether they are data. */
  private seen(block: v128, length: i32): i32 {
    const printable = i8x16.bitmask(i8x16.lt_u(i8x16.sub(block, i8x16.splat(0x21)), i8x16.splat(0x5e)));
    const taken = min(length, SHOWN_DATA - this.data);
    if ((~printable & ((1 << taken) - 1)) != 0) {
      this.data = NO_DATA;
      return length;
    }
    this.data += taken;
    return taken;
  }

  /** The same for one byte that was written. */
  private count(byte: u8): void {
    if (byte - 0x21 >= 0x5e) this.data = NO_DATA;
    else if (++this.data == SHOWN_DATA) this.beginData();
  }

  private beginData(): void {
    const chain = this.chain;
    this.data = NO_DATA;
    store<u8>(chain.out++, DATA);
    chain.beginDigest();
  }

  private close(): void {
    const chain = this.chain;
    this.inside = false;
    chain.endDigest();
    store<u8>(chain.out++, QUOTE);
  }

  /** The escape at `at`. Returns what follows it, or `at` when it is cut. */
  private escape(at: usize): usize {
    const chain = this.chain;
    const left = this.limit - at;
    if (left < 2) return this.wrong(at);
    const letter = load<u8>(at, 1);
    const plain = plainEscape(letter);
    if (plain != 0) {
      store<u8>(chain.out++, plain);
      return at + 2;
    }
    if (letter != 0x75) return this.invalid(at);
    if (left < 6) return this.wrong(at);
    const unit = unitAt(at + 2);
    if (unit < 0) return this.invalid(at);
    if (<u32>(unit - 0xd800) >= 0x800) {
      chain.out += utf8(unit, chain.out);
      return at + 6;
    }
    if (unit < 0xdc00) {
      if (left < 12 && !this.last) return at;
      const low = left >= 12 && load<u16>(at, 6) == 0x755c ? unitAt(at + 8) : -1;
      if (low >= 0xdc00 && low < 0xe000) {
        chain.out += utf8(0x10000 + ((unit - 0xd800) << 10) + (low - 0xdc00), chain.out);
        return at + 12;
      }
    }
    // Half a surrogate pair.
    chain.out += utf8(0xfffd, chain.out);
    return at + 6;
  }

  /** Too few bytes are there: they may follow. */
  private wrong(at: usize): usize {
    return this.last ? this.invalid(at) : at;
  }

  private invalid(at: usize): usize {
    store<u8>(this.chain.out++, 0x5c);
    return at + 1;
  }
}

@inline
function copyBlock(from: usize, to: usize): void {
  v128.store(to, v128.load(from));
  v128.store(to, v128.load(from, 16), 16);
  v128.store(to, v128.load(from, 32), 32);
  v128.store(to, v128.load(from, 48), 48);
}

/** Copies `length` bytes, at most a block, and what lies behind them: that is overwritten by what follows. */
@inline
function copy(from: usize, to: usize, length: usize): void {
  v128.store(to, v128.load(from));
  v128.store(to, v128.load(from, 16), 16);
  if (length <= COPIED) return;
  v128.store(to, v128.load(from, 32), 32);
  v128.store(to, v128.load(from, 48), 48);
}

/** What the letter stands for behind a backslash, 0 when it is none of the short escapes. */
@inline
function plainEscape(letter: u8): u8 {
  return letter < 128 ? load<u8>(PLAIN_ESCAPES + <usize>letter) : 0;
}

/** Value of four hex digits, or -1. */
function unitAt(at: usize): i32 {
  const first = hex(load<u8>(at));
  const second = hex(load<u8>(at, 1));
  const third = hex(load<u8>(at, 2));
  const fourth = hex(load<u8>(at, 3));
  if ((first | second | third | fourth) < 0) return -1;
  return (first << 12) | (second << 8) | (third << 4) | fourth;
}

/** Writes a code point and returns its size. */
function utf8(point: i32, to: usize): usize {
  if (point < 0x80) {
    store<u8>(to, <u8>point);
    return 1;
  }
  if (point < 0x800) {
    store<u8>(to, <u8>(0xc0 | (point >> 6)));
    store<u8>(to, <u8>(0x80 | (point & 63)), 1);
    return 2;
  }
  if (point < 0x10000) {
    store<u8>(to, <u8>(0xe0 | (point >> 12)));
    store<u8>(to, <u8>(0x80 | ((point >> 6) & 63)), 1);
    store<u8>(to, <u8>(0x80 | (point & 63)), 2);
    return 3;
  }
  store<u8>(to, <u8>(0xf0 | (point >> 18)));
  store<u8>(to, <u8>(0x80 | ((point >> 12) & 63)), 1);
  store<u8>(to, <u8>(0x80 | ((point >> 6) & 63)), 2);
  store<u8>(to, <u8>(0x80 | (point & 63)), 3);
  return 4;
}
