/** SipHash-2-4 with 128 bits over big integers, as the paper has it: a state of four words, a word of input at a time. */

const u64 = (value: bigint): bigint => BigInt.asUintN(64, value);
const rotate = (value: bigint, bits: bigint): bigint => u64((value << bits) | (value >> (64n - bits)));

export type Key = readonly [k0: bigint, k1: bigint];

export class SipModel {
  private state: [bigint, bigint, bigint, bigint];
  bytes = 0;

  constructor([k0, k1]: Key) {
    this.state = [
      k0 ^ 0x736f6d6570736575n,
      k1 ^ 0x646f72616e646f6dn ^ 0xeen,
      k0 ^ 0x6c7967656e657261n,
      k1 ^ 0x7465646279746573n,
    ];
  }

  /** All four words in one. */
  get mixed(): bigint {
    return this.state.reduce((sum, word) => sum ^ word, 0n);
  }

  word(value: bigint): this {
    this.bytes += 8;
    this.compress(u64(value));
    return this;
  }

  /** Its result, the input being over but for these bytes, less than 8. */
  finish(rest: Uint8Array = new Uint8Array()): [low: bigint, high: bigint] {
    const total = this.bytes + rest.length;
    this.compress((BigInt(total & 0xff) << 56n) | wordOf(rest));
    this.state[2] ^= 0xeen;
    this.rounds(4);
    const low = this.mixed;
    this.state[1] ^= 0xddn;
    this.rounds(4);
    return [low, this.mixed];
  }

  private compress(word: bigint): void {
    this.state[3] ^= word;
    this.rounds(2);
    this.state[0] ^= word;
  }

  private rounds(count: number): void {
    let [a, b, c, d] = this.state;
    for (let i = 0; i < count; i++) {
      a = u64(a + b);
      b = rotate(b, 13n) ^ a;
      a = rotate(a, 32n);
      c = u64(c + d);
      d = rotate(d, 16n) ^ c;
      a = u64(a + d);
      d = rotate(d, 21n) ^ a;
      c = u64(c + b);
      b = rotate(b, 17n) ^ c;
      c = rotate(c, 32n);
    }
    this.state = [a, b, c, d];
  }
}

/** Little-endian word of at most eight bytes. */
export function wordOf(bytes: Uint8Array): bigint {
  return bytes.reduceRight((sum, byte) => (sum << 8n) | BigInt(byte), 0n);
}

export function sipHash(bytes: Uint8Array, key: Key): [low: bigint, high: bigint] {
  const model = new SipModel(key);
  const whole = bytes.length & ~7;
  for (let at = 0; at < whole; at += 8) model.word(wordOf(bytes.subarray(at, at + 8)));
  return model.finish(bytes.subarray(whole));
}
