/** Words of a meter and what may be in them. Any bytes are a meter, so nothing is believed: units are 0 to `CEILING`, times are clamped. */

/** Largest amount of a word and of a limit, 3.6e16: twenty of them fit an i64, so that no sum wraps. */
export const CEILING: i64 = 1 << 55;
/** Times are clamped: to one day after the epoch, so that it is 1970 in all zones, and to the year 37,000. */
const EARLIEST: i64 = 86_400_000;
export const LATEST: i64 = 1 << 50;

@inline
export function clamped(time: i64): i64 {
  return min(max(time, EARLIEST), LATEST);
}

@inline
export function bounded(value: i64, ceiling: i64): i64 {
  return min(max(value, 0), ceiling);
}

@inline
export function read(at: usize): i64 {
  return bounded(load<i64>(at), CEILING);
}

/** `units`: -CEILING to CEILING. */
@inline
export function add(at: usize, units: i64): void {
  store<i64>(at, bounded(read(at) + units, CEILING));
}
