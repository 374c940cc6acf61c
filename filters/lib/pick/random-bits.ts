/** Numbers out of bits that somebody else drew: nothing here has a state. */

/** All bits of the input in all bits of the output (the finalizer of SplitMix64). */
@inline
export function mixed(bits: u64): u64 {
  bits += 0x9e3779b97f4a7c15;
  bits = (bits ^ (bits >> 30)) * 0xbf58476d1ce4e5b9;
  bits = (bits ^ (bits >> 27)) * 0x94d049bb133111eb;
  return bits ^ (bits >> 31);
}

/** A number in [0, limit); `limit` below 2^32. */
@inline
export function below(random: u64, limit: u64): u64 {
  return ((mixed(random) >> 32) * limit) >> 32;
}

/** A number in (0, 1). */
@inline
export function fraction(bits: u64): f64 {
  return (<f64>(mixed(bits) >> 12) + 0.5) * (1.0 / 4503599627370496.0);
}
