/**
 * Seeded random numbers: sfc32 (Chris Doty-Humphrey, PractRand), 32-bit state words only, so every platform draws the same sequence.
 * Streams with different names are independent: a policy that draws more often must not change the arrivals.
 */
export class Random {
  private a: number;
  private b: number;
  private c: number;
  private counter = 1;

  constructor(seed: number, stream = "") {
    let hash = mix(seed | 0);
    for (let i = 0; i < stream.length; i++) hash = mix(hash ^ stream.charCodeAt(i));
    this.a = hash;
    this.b = mix(hash + 1);
    this.c = mix(hash + 2);
    for (let i = 0; i < 12; i++) this.bits();
  }

  /** 32 uniform bits as an unsigned number. */
  bits(): number {
    const sum = (this.a + this.b + this.counter) | 0;
    this.counter = (this.counter + 1) | 0;
    this.a = this.b ^ (this.b >>> 9);
    this.b = (this.c + (this.c << 3)) | 0;
    this.c = ((this.c << 21) | (this.c >>> 11)) + sum;
    return sum >>> 0;
  }

  /** Uniform in [0, 1). */
  unit(): number {
    return this.bits() / 0x1_0000_0000;
  }

  /** Uniform in 0..bound-1. */
  below(bound: number): number {
    return Math.floor(this.unit() * bound);
  }

  /** Uniform in from..to, both included. */
  between(from: number, to: number): number {
    return from + this.below(to - from + 1);
  }

  exponential(mean: number): number {
    return -mean * Math.log(1 - this.unit());
  }

  /** Log-normal with this mean; `sigma` is the standard deviation of the logarithm. */
  logNormal(mean: number, sigma: number): number {
    const normal = Math.sqrt(-2 * Math.log(1 - this.unit())) * Math.cos(2 * Math.PI * this.unit());
    return mean * Math.exp(sigma * normal - (sigma * sigma) / 2);
  }

  /** Log-uniform in from..to: every factor of ten equally likely. */
  logUniform(from: number, to: number): number {
    return from * (to / from) ** this.unit();
  }

  /** Number of trials up to and including the first success, with this mean; at least 1. */
  geometric(mean: number): number {
    return mean <= 1 ? 1 : 1 + Math.floor(Math.log(1 - this.unit()) / Math.log(1 - 1 / mean));
  }
}

/** Draws ranks 0..count-1 with a chance proportional to 1 / (rank + 1) ** exponent. O(log count). */
export class Zipf {
  private readonly sums: number[] = [];

  constructor(count: number, exponent: number) {
    let sum = 0;
    for (let rank = 1; rank <= count; rank++) {
      sum += rank ** -exponent;
      this.sums.push(sum);
    }
  }

  draw(random: Random): number {
    const at = random.unit() * (this.sums.at(-1) ?? 0);
    let [low, high] = [0, this.sums.length - 1];
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((this.sums[middle] ?? 0) > at) high = middle;
      else low = middle + 1;
    }
    return low;
  }
}

/** Bijective 32-bit mixer (finalizer of MurmurHash3, Austin Appleby, public domain). */
export function mix(value: number): number {
  let x = value | 0;
  x = Math.imul(x ^ (x >>> 16), 0x85ebca6b);
  x = Math.imul(x ^ (x >>> 13), 0xc2b2ae35);
  return (x ^ (x >>> 16)) | 0;
}

/** 53-bit hash of two numbers: block ids, ring points, session keys. */
export function hash53(first: number, second: number): number {
  const low = mix(
    mix((first % 0x1_0000_0000) ^ 0x9e3779b9) + mix(second ^ 0x7f4a7c15) + Math.floor(first / 0x1_0000_0000),
  );
  const high = mix(low ^ mix((second % 0x1_0000_0000) + 0x165667b1) ^ mix((first % 0x1_0000_0000) + 0x27d4eb2f));
  return (high >>> 11) * 0x1_0000_0000 + (low >>> 0);
}
